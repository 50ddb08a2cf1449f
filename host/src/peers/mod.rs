//! The other instances of the group: which partitions they own, what they have stored, and commands to them.
//!
//! Instances discover each other through the group. Each has its URL as its client id, which the group's coordinator
//! shows to everyone. Any program may join the group, so a client id is trusted only as the address of an HTTP server:
//! [`PeerUrl`]. This module knows nothing of handlers; [`crate::http`] merges the stored Eventos of several instances.

mod client;
mod directory;
mod ownership;
mod row;
mod url;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use self::{client::Client, directory::Directory};
pub use self::{
    client::{COVERED, PeerCommand, PeerError, PeerRows, RowStream, START, TIMEOUT, TOTAL_COUNT},
    ownership::{MissingPartitions, Ownership, Peer},
    row::{MEDIA_TYPE, PeerRow, rows},
    url::{InvalidPeerUrl, PeerUrl},
};
use crate::{event::AssignedPartitions, kafka::GroupClient};

/// The partitions that are assigned to this instance, as they are now.
pub type AssignedWatch = watch::Receiver<Arc<AssignedPartitions>>;

/// The other instances of the group. Cheap to clone; all clones share one cache and one pool of connections.
#[derive(Clone)]
pub struct Peers {
    assigned: AssignedWatch,
    directory: Directory,
    client: Client,
}

impl Peers {
    /// Returns the peers of an instance that owns what is `assigned`, and that others reach at `own_url` if that is
    /// set.
    #[must_use]
    pub fn new(assigned: AssignedWatch, own_url: Option<PeerUrl>) -> Self {
        Self {
            directory: Directory::new(assigned.clone(), own_url),
            assigned,
            client: Client::new(),
        }
    }

    /// Sets the client that describes the group, once the broker is there. Until then, only the partitions of this
    /// instance are known.
    pub fn connect(&self, group: GroupClient) {
        self.directory.connect(group);
    }

    /// Returns the partitions of this instance.
    #[must_use]
    pub fn assigned(&self) -> Arc<AssignedPartitions> {
        Arc::clone(&self.assigned.borrow())
    }

    /// Returns the owners of the partitions. The broker is asked only if they may have changed, for at most two
    /// seconds.
    pub async fn ownership(&self) -> Arc<Ownership> {
        self.directory.ownership().await
    }

    /// Requests the stored Eventos of a peer.
    ///
    /// # Errors
    /// [`PeerError`], within [`TIMEOUT`].
    pub async fn fetch_rows(&self, url: &PeerUrl, query: &str) -> Result<PeerRows, PeerError> {
        self.client.fetch_rows(url, query).await
    }

    /// Sends a command to a peer, and returns the body of its response, at most 4 MiB.
    ///
    /// # Errors
    /// [`PeerError`]. The peer has not received the command if it is [`PeerError::Unreachable`].
    pub async fn send_command(
        &self,
        url: &PeerUrl,
        command: PeerCommand,
    ) -> Result<Bytes, PeerError> {
        self.client.send_command(url, command).await
    }
}
