//! The broker inside: one node that speaks the Kafka protocol on loopback, so that whoever has no Kafka yet runs the
//! same program, and any Kafka client can connect to it.
//!
//! What it is not: a cluster. One node, no replication, no TLS, no authentication and no ACLs, which is why it refuses
//! to listen anywhere but on loopback. It knows no other module of the host; the daemon reaches it as any client would.
//!
//! **Durability.** A produce request is answered after its batch was handed to the operating system (`write`), so
//! killing the process, with `kill -9` too, loses nothing that was acknowledged. What a power cut or a crash of the
//! operating system may cost is for [`Flush`] to say.
//!
//! Where to look: `server` has connections and frames, `dispatch` the table of supported versions, `api/` one file
//! for each family of calls, `log/` the segmented files, `groups/` and `transactions/` the coordinators,
//! `offsets` what groups committed.

mod api;
mod clock;
mod coordinator;
mod flush;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod log;
mod maintenance;
mod protocol;
mod record;
mod storage;
mod topics;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub use flush::Flush;
use coordinator::group::Coordinator;
use coordinator::offsets::CommittedOffsets;
use coordinator::transaction::producer_ids::ProducerIds;
use coordinator::transaction::{Stores, Transactions};
use storage::Folder;
use topics::Topics;

/// Where the broker listens and keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A loopback address; port 0 takes a free one. Default `127.0.0.1:9092`.
    pub listen: SocketAddr,
    /// The folder of everything that is kept; made when missing. Default `data/broker`.
    pub dir: PathBuf,
    /// Partitions of a topic whose creator names no number; at least 1. Default 4.
    pub partitions: u32,
    /// When the disk is waited for. Default `"never"`.
    pub flush: Flush,
}

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() {
            let why = "expected a loopback address such as \"127.0.0.1:9092\": the broker inside \
                       has no authentication";
            problems.push(("listen".to_owned(), why.to_owned()));
        }
        if self.dir.as_os_str().is_empty() {
            problems.push(("dir".to_owned(), "expected a path".to_owned()));
        }
        if !(1..=1000).contains(&self.partitions) {
            problems.push(("partitions".to_owned(), "expected 1 to 1000".to_owned()));
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 9092)),
            dir: PathBuf::from("data/broker"),
            partitions: 4,
            flush: Flush::Never,
        }
    }
}

/// Why the broker cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is reachable from other machines.
    #[error(
        "the broker inside listens on loopback only, not on {0}: it has neither TLS nor authentication; use 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// A number of partitions that no topic can have.
    #[error("{0} partitions for a new topic: choose from 1 to {max}", max = topics::MAX_PARTITIONS)]
    Partitions(u32),
    /// The port is taken, or may not be used.
    #[error("cannot listen on {listen}: choose another address, or stop what listens there")]
    Bind {
        /// The address of the configuration.
        listen: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another broker runs on the folder.
    #[error("{0} is in use by another process: stop it, or choose another folder")]
    Locked(PathBuf),
    /// The folder was written by another version.
    #[error(
        "{path} says {found:?}, but this version reads {expected:?}: choose another folder, or the version that wrote it"
    )]
    Format {
        /// The file that holds the version.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// A file is not as the broker wrote it, other than a torn tail.
    #[error(
        "{path} is damaged at byte {position} ({reason}): restore it, or move it away to go on without what it holds"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the fault begins.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The disk refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried on which path.
    fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }
}

/// A broker that holds its folder and its socket, not yet serving.
#[derive(Debug)]
pub struct Broker {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What every connection works on.
#[derive(Debug)]
struct Shared {
    /// The address that clients are told to connect to.
    address: SocketAddr,
    cluster_id: String,
    flush: Flush,
    topics: Topics,
    groups: Coordinator,
    offsets: CommittedOffsets,
    producer_ids: ProducerIds,
    transactions: Transactions,
    /// Last, so that the lock outlives every file.
    folder: Folder,
}

impl Shared {
    /// Where transactions have their effects.
    fn stores(&self) -> Stores<'_> {
        Stores {
            topics: &self.topics,
            offsets: &self.offsets,
        }
    }
}

impl Broker {
    /// Locks the folder, recovers what it holds (a torn tail is cut), and binds the socket.
    ///
    /// # Errors
    ///
    /// An address off loopback, a folder in use or of another version, a damaged file, a port that is taken.
    pub async fn bind(config: &Config) -> Result<Broker, Error> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(config.listen));
        }
        if !(1..=topics::MAX_PARTITIONS).contains(&config.partitions) {
            return Err(Error::Partitions(config.partitions));
        }
        let folder = Folder::open(&config.dir)?;
        let topics = Topics::open(folder.path(), config.partitions, folder.trust())?;
        folder.begin()?;
        let offsets = CommittedOffsets::open(folder.path())?;
        let producer_ids = ProducerIds::open(folder.path())?;
        let stores = Stores {
            topics: &topics,
            offsets: &offsets,
        };
        let transactions = Transactions::open(folder.path(), stores)?;
        let bind_error = |source| Error::Bind {
            listen: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let shared = Arc::new(Shared {
            address,
            cluster_id: folder.cluster_id().to_owned(),
            flush: config.flush,
            topics,
            groups: Coordinator::default(),
            offsets,
            producer_ids,
            transactions,
            folder,
        });
        tracing::info!(%address, dir = %config.dir.display(), topics = shared.topics.len(), "broker inside listens");
        Ok(Broker { listener, shared })
    }

    /// The address that it listens on, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Serves until `shutdown` completes, then closes the connections, syncs the files and releases the lock.
    ///
    /// Dropping the future instead ends everything at once, as a kill would: nothing acknowledged is lost.
    ///
    /// # Errors
    ///
    /// A file that cannot be synced at the end.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Broker { listener, shared } = self;
        protocol::server::serve(listener, &shared, shutdown).await;
        for log in shared.topics.logs() {
            log.close()?;
        }
        flush::sync_all(&shared)?;
        shared.folder.end()?;
        tracing::info!(dir = %shared.folder.path().display(), "broker inside stopped");
        Ok(())
    }
}
