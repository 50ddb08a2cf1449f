//! Which URLs of other members may be asked.
//!
//! A member of the group chooses its client id, and with it the URL at which this instance would ask it. So a URL that
//! `peers.allow` does not name gets nothing but a [`Handshake`](PROOF_PATH) until its answer has proved that an instance of the
//! group is there: one that has the same secret, or, if there is none, an instance without a secret on this machine.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Config, PeerError, PeerUrl, client::Client, config::Permission};

/// The path of the handshake.
pub const PROOF_PATH: &str = "/peers/proof";

/// How long a URL is asked after it has proved itself. Each of its responses has a proof of its own besides.
const TRUSTED_FOR: Duration = Duration::from_secs(600);

/// How long a URL that has not proved itself is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many URLs are remembered. More members than that hardly own partitions of one topic.
const MAX_URLS: usize = 4096;

/// How many handshakes happen at a time. Others wait, as long as their request does.
const MAX_HANDSHAKES: usize = 16;

/// Decides which URLs are asked. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub(super) struct Trust {
    config: Arc<Config>,
    own_port: u16,
    /// Results of handshakes. Never held across an await.
    known: Arc<Mutex<HashMap<PeerUrl, Handshake>>>,
    running: Arc<Semaphore>,
}

/// The result of a handshake.
struct Handshake {
    at: Instant,
    result: Result<(), PeerError>,
}

impl Trust {
    pub(super) fn new(config: &Config, own_port: u16) -> Self {
        Self {
            config: Arc::new(config.clone()),
            own_port,
            known: Arc::default(),
            running: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
        }
    }

    /// Checks that a URL may be asked, with a handshake if it has to prove itself.
    ///
    /// # Errors
    /// [`PeerError::NotAllowed`], or the error of the handshake.
    pub(super) async fn check(&self, url: &PeerUrl, client: &Client) -> Result<(), PeerError> {
        match self.config.permission(url, self.own_port) {
            Permission::Named => return Ok(()),
            Permission::None => return Err(PeerError::NotAllowed),
            Permission::IfProven => {}
        }
        if let Some(result) = self.recent(url) {
            return result;
        }
        let running = self.running.acquire().await;
        let _running = running.expect("the semaphore is never closed");
        // Another request may have waited for the same.
        if let Some(result) = self.recent(url) {
            return result;
        }
        let result = client.prove(url).await;
        if let Err(error) = &result {
            tracing::debug!(%url, %error, "a member of the group did not prove that it is an instance");
        }
        self.remember(url, result.clone());
        result
    }

    /// Has a URL prove itself again before it is asked again.
    pub(super) fn forget(&self, url: &PeerUrl) {
        self.known.lock().remove(url);
    }

    fn recent(&self, url: &PeerUrl) -> Option<Result<(), PeerError>> {
        let known = self.known.lock();
        let handshake = known.get(url).filter(|handshake| handshake.is_valid())?;
        Some(handshake.result.clone())
    }

    fn remember(&self, url: &PeerUrl, result: Result<(), PeerError>) {
        let mut known = self.known.lock();
        if known.len() >= MAX_URLS {
            known.retain(|_, handshake| handshake.is_valid());
        }
        if known.len() < MAX_URLS {
            let at = Instant::now();
            known.insert(url.clone(), Handshake { at, result });
        }
    }
}

impl Handshake {
    fn is_valid(&self) -> bool {
        let valid_for = match self.result {
            Ok(()) => TRUSTED_FOR,
            Err(_) => RETRY_AFTER,
        };
        self.at.elapsed() < valid_for
    }
}
