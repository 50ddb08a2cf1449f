//! A running broker: opening its data, serving, and shutting down.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    config::MAX_PARTITIONS,
    coordinator::{
        group::GroupCoordinator,
        offsets::CommittedOffsets,
        transaction::{TransactionCoordinator, TransactionStores, producer_ids::ProducerIdManager},
    },
    flush,
    protocol::server,
    shared::Shared,
    storage::DataFolder,
    topics::Topics,
};

/// A running broker.
///
/// It serves in tasks of the tokio runtime that started it. Dropping it ends these tasks as a kill of the process would:
/// the broker loses nothing that it acknowledged, but the next start has to read the end of each log again. Prefer
/// [`shutdown`](Broker::shutdown).
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: CancellationToken,
    kill: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
    /// The state, which the task owns.
    shared: Weak<Shared>,
}

impl Broker {
    /// Opens the data folder, binds the address and begins to serve.
    ///
    /// The folder is locked against other brokers. After a kill or a power cut, a torn end of a log is cut off.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is not a loopback address or is in use, if the folder is in use or was written by
    /// another version, or if a file in it is damaged.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime with time and I/O enabled.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let (listener, shared) = open(&config).await?;
        let address = shared.address;
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let weak = Arc::downgrade(&shared);
        let task = tokio::spawn(run(listener, shared, stop.clone(), kill.clone()));
        Ok(Self {
            address,
            stop,
            kill,
            task,
            shared: weak,
        })
    }

    /// Returns the address that clients connect to, with the real port if the configuration says port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Removes all members of a consumer group, as if they had left. Those that are alive join again.
    ///
    /// Members outlive a restart of the broker. For a program that runs a broker and a consumer in one process this means that
    /// after a kill, the group waits for the consumer of the process before until its session has expired. Such a program
    /// calls this after the start, before its consumer joins.
    pub fn remove_members(&self, group: &str) {
        if let Some(shared) = self.shared.upgrade() {
            shared.groups.remove_members(group);
        }
    }

    /// Closes all connections, syncs all files and releases the folder.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be synced.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop.cancel();
        outcome((&mut self.task).await)
    }

    /// Serves until `signal` completes, then shuts down as [`shutdown`](Broker::shutdown) does.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be synced.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            // Only a bug ends the task before `shutdown` does.
            ended = &mut self.task => return outcome(ended),
            () = signal => {}
        }
        self.shutdown().await
    }

    /// Ends the broker without syncing anything, as a kill of the process would, and waits until its folder and its
    /// address are free again.
    ///
    /// Use it to test what survives a crash.
    pub async fn kill(mut self) {
        self.kill.cancel();
        // The result does not matter: whatever a kill interrupts, the next start has to cope with.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes a panic of the broker's task on to the caller.
fn outcome(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    match ended {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, which ends all of its tasks.
            Err(_) => Ok(()),
        },
    }
}

/// Locks and recovers the data folder, and binds the address.
pub(crate) async fn open(config: &Config) -> Result<(TcpListener, Arc<Shared>), Error> {
    if !config.listen.ip().is_loopback() {
        return Err(Error::NotLoopback(config.listen));
    }
    if !(1..=MAX_PARTITIONS).contains(&config.partitions) {
        return Err(Error::Partitions(config.partitions));
    }
    let folder = DataFolder::open(&config.dir)?;
    let topics = Topics::open(folder.path(), config.partitions, folder.trust())?;
    folder.mark_running()?;
    let offsets = CommittedOffsets::open(folder.path())?;
    offsets.remove_missing_topics(|topic| topics.get(topic).is_some())?;
    let groups = GroupCoordinator::open(folder.path())?;
    let producer_ids = ProducerIdManager::open(folder.path())?;
    let stores = TransactionStores {
        topics: &topics,
        offsets: &offsets,
    };
    let transactions = TransactionCoordinator::open(folder.path(), stores)?;
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
        groups,
        offsets,
        producer_ids,
        transactions,
        folder,
    });
    tracing::info!(
        %address,
        dir = %config.dir.display(),
        topics = shared.topics.len(),
        "built-in broker listening"
    );
    Ok((listener, shared))
}

/// How often a killed broker looks whether its blocking tasks have ended.
const KILL_POLL: Duration = Duration::from_millis(1);

/// Serves until `stop` is cancelled, then syncs and closes everything; after `kill` it only lets go of everything.
async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    kill: CancellationToken,
) -> Result<(), Error> {
    let mut connections = JoinSet::new();
    let serving = server::serve(listener, &shared, stop, &mut connections);
    if kill.run_until_cancelled(serving).await.is_none() {
        connections.shutdown().await;
        // A sync or a cleaning pass that runs on a blocking thread cannot be interrupted.
        while Arc::strong_count(&shared) > 1 {
            tokio::time::sleep(KILL_POLL).await;
        }
        return Ok(());
    }
    let mut closed = Ok(());
    for log in shared.topics.logs() {
        closed = closed.and(log.close());
    }
    closed?;
    flush::sync_all(&shared)?;
    shared.folder.mark_stopped()?;
    tracing::info!(dir = %shared.folder.path().display(), "built-in broker stopped");
    Ok(())
}
