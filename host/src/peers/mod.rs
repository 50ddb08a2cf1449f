//! The other instances of the group: which partitions they own, what they have stored, and commands to them.
//!
//! Instances discover each other through the group. Each has its URL as its client id, which the group's coordinator
//! shows to everyone. Any program may join the group, so a client id is trusted only as the address of an HTTP server:
//! [`PeerUrl`]. This module knows nothing of handlers; [`crate::http`] merges the stored Eventos of several instances.

mod client;
mod config;
mod directory;
mod error;
mod ownership;
mod proof;
mod request_proof;
mod row;
mod trust;
mod url;

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::watch, time::timeout};

use self::{client::Client, directory::Directory, trust::Trust};
pub use self::{
    client::{COVERED, PeerCommand, PeerRows, RowStream, START, TIMEOUT, TOTAL_COUNT},
    config::{Config, is_loopback},
    error::PeerError,
    ownership::{MissingPartitions, Ownership, Peer},
    proof::{CheckedProof, InvalidProof, Proofs, ProvenRequest},
    request_proof::ANSWER_PROOF,
    row::{MEDIA_TYPE, PeerRow, rows},
    trust::PROOF_PATH,
    url::{InvalidPeerUrl, PeerUrl},
};
use crate::{event::AssignedPartitions, kafka::GroupClient, tls::Certificates};

/// The partitions that are assigned to this instance, as they are now.
pub type AssignedWatch = watch::Receiver<Arc<AssignedPartitions>>;

/// The other instances of the group. Cheap to clone; all clones share one cache and one pool of connections.
#[derive(Clone)]
pub struct Peers {
    assigned: AssignedWatch,
    directory: Directory,
    client: Client,
    trust: Trust,
    proofs: Option<Proofs>,
}

impl Peers {
    /// Returns the peers of an instance that owns what is `assigned`, and that others reach at `own_url` if that is
    /// set, else at `own_port` of a host that it does not know. Instances that serve with TLS are asked with these
    /// certificates.
    #[must_use]
    pub fn new(
        config: &Config,
        assigned: AssignedWatch,
        own_url: Option<PeerUrl>,
        own_port: u16,
        certificates: Certificates,
    ) -> Self {
        let proofs = (!config.secret.is_empty()).then(|| Proofs::new(&config.secret));
        let own_port = own_url.as_ref().map_or(own_port, PeerUrl::port);
        Self {
            trust: Trust::new(config, own_port),
            directory: Directory::new(assigned.clone(), own_url),
            assigned,
            client: Client::new(proofs.clone(), certificates),
            proofs,
        }
    }

    /// Sets the client that describes the group, once the broker is there. Until then, only the partitions of this
    /// instance are known.
    pub fn connect(&self, group: GroupClient) {
        self.directory.connect(group);
    }

    /// Returns what requests of other instances are checked with, or `None` without a secret.
    #[must_use]
    pub fn proofs(&self) -> Option<&Proofs> {
        self.proofs.as_ref()
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
        let fetch = async {
            self.trust.check(url, &self.client).await?;
            let rows = self.client.fetch_rows(url, query).await;
            self.distrust_if_unproven(url, rows)
        };
        let fetched = timeout(TIMEOUT, fetch).await;
        fetched.unwrap_or(Err(PeerError::Timeout(TIMEOUT)))
    }

    /// Sends a command to a peer, and returns the body of its response, at most 4 MiB.
    ///
    /// # Errors
    /// [`PeerError`]. The peer has not received the command if it is [`PeerError::Unreachable`] or
    /// [`PeerError::NotAllowed`].
    pub async fn send_command(
        &self,
        url: &PeerUrl,
        command: PeerCommand,
    ) -> Result<Bytes, PeerError> {
        let checked = timeout(TIMEOUT, self.trust.check(url, &self.client)).await;
        let checked = checked.unwrap_or(Err(PeerError::Timeout(TIMEOUT)));
        checked.map_err(PeerError::before_command)?;
        let response = self.client.send_command(url, command).await;
        self.distrust_if_unproven(url, response)
    }

    /// Has a URL prove itself again if its answer did not prove that an instance of the group is still there.
    fn distrust_if_unproven<T>(
        &self,
        url: &PeerUrl,
        answer: Result<T, PeerError>,
    ) -> Result<T, PeerError> {
        if let Err(PeerError::Unproven | PeerError::Unauthorized) = answer {
            self.trust.forget(url);
        }
        answer
    }
}
