//! The other instances of the group: who has which partitions, asking them for what they have stored, and telling them to
//! do their part.
//!
//! Instances find one another through the group itself: each writes its URL into its client id, which the group's
//! coordinator tells whoever asks. What stands there was written by others, so it is believed only as far as it
//! names an HTTP server: [`PeerUrl`]. It knows Kafka by its module, and no handlers; the merge is [`crate::http`]'s.

mod client;
mod directory;
mod division;
mod row;
mod url;

use std::sync::Arc;

use bytes::Bytes;

use self::{client::Client, directory::Directory};
pub use self::{
    client::{Answer, COVERED, Command, Fault, PATIENCE, Rows, START, TOTAL_COUNT},
    division::{Division, Missing, Peer},
    row::{MEDIA_TYPE, Row, rows},
    url::{NotAPeerUrl, PeerUrl},
};
use crate::{assigned::Assigned, kafka::Roster};

/// The other instances. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Peers {
    assigned: Assigned,
    directory: Directory,
    client: Client,
}

impl Peers {
    /// For an instance that has what is `assigned`, and that others reach at `own_url`, if they do.
    #[must_use]
    pub fn new(assigned: Assigned, own_url: Option<PeerUrl>) -> Self {
        Self {
            directory: Directory::new(assigned.clone(), own_url),
            assigned,
            client: Client::new(),
        }
    }

    /// From now on the broker is there to be asked.
    pub fn connect(&self, roster: Roster) {
        self.directory.connect(roster);
    }

    /// What this instance has.
    #[must_use]
    pub fn assigned(&self) -> &Assigned {
        &self.assigned
    }

    /// How the partitions are divided. It asks the broker only if that may have changed, and takes two seconds at most.
    pub async fn division(&self) -> Arc<Division> {
        self.directory.division().await
    }

    /// Asks a peer for rows.
    ///
    /// # Errors
    /// [`Fault`], after [`PATIENCE`] at the latest.
    pub async fn ask(&self, url: &PeerUrl, query: &str) -> Result<Answer, Fault> {
        self.client.ask(url, query).await
    }

    /// Tells a peer to do something; what it says of that, 4 MiB at most.
    ///
    /// # Errors
    /// [`Fault`]. It did nothing if it was [`Fault::Unreachable`].
    pub async fn tell(&self, url: &PeerUrl, command: Command) -> Result<Bytes, Fault> {
        self.client.tell(url, command).await
    }
}
