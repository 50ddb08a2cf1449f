//! Which handlers run, and how that changes: files come, go and are replaced, people pause and roll back. It publishes
//! the chain; when a worker takes it up is the pipeline's business.
//!
//! What runs is never displaced by what does not: a file that cannot be loaded is told of, and nothing else changes.

mod change;
mod slot;
mod watch;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::sync::watch as published;

use self::slot::Seat;
pub use self::{
    change::{ChangeError, Put},
    slot::{State, Status},
};
use super::{
    Config, Engine, FolderError, Handler, HandlerConfig, HandlerFile, LoadError, discover,
};
use crate::telemetry::metrics::Metrics;

/// The handlers that every batch passes, in their order. A batch passes one chain and no other.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// In file-name order.
    pub handlers: Vec<Arc<Handler>>,
    /// A handler among them is paused: nothing passes until it is not.
    pub paused: bool,
    /// How often somebody resumed a handler: what had stopped is tried again.
    pub resumes: u64,
}

/// A chain as it is now, and word of every change.
pub type Chains = published::Receiver<Arc<Chain>>;

/// The handlers of a folder. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    engine: Engine,
    config: Config,
    own: BTreeMap<String, HandlerConfig>,
    metrics: Metrics,
    /// Held for a whole change, compiling included; who only looks waits for `seats` alone.
    changing: Mutex<()>,
    /// By name.
    seats: Mutex<BTreeMap<String, Seat>>,
    resumes: AtomicU64,
    chain: published::Sender<Arc<Chain>>,
}

/// Why the handlers of a folder cannot be loaded at the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// One of its files.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// One of its files.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Chain {
    /// These handlers, for good.
    #[must_use]
    pub fn fixed(handlers: Vec<Arc<Handler>>) -> Chains {
        let chain = Self {
            handlers,
            ..Self::default()
        };
        published::channel(Arc::new(chain)).1
    }
}

impl Registry {
    /// Loads every handler of the folder; `own` are the tables `[handler.NAME]`.
    ///
    /// # Errors
    /// The first that cannot be loaded: at the start there is nothing that could go on instead.
    pub fn open(
        engine: Engine,
        config: Config,
        own: BTreeMap<String, HandlerConfig>,
        metrics: Metrics,
    ) -> Result<Self, OpenError> {
        let files = discover(&config.dir)?;
        let registry = Self(Arc::new(Inner {
            engine,
            config,
            own,
            metrics,
            changing: Mutex::default(),
            seats: Mutex::default(),
            resumes: AtomicU64::default(),
            chain: published::Sender::default(),
        }));
        for file in files {
            let read = |source| OpenError::Read {
                path: file.path.clone(),
                source,
            };
            let bytes = fs::read(&file.path).map_err(read)?;
            let handler = registry.load(&file)?;
            let seat = Seat::new(file.path.clone(), handler, bytes);
            registry.seats().insert(file.name, seat);
        }
        registry.publish();
        Ok(registry)
    }

    /// The chain, now and later.
    #[must_use]
    pub fn chain(&self) -> Chains {
        self.0.chain.subscribe()
    }

    /// What there is, in the order of the chain.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let seats = self.seats();
        let mut listed: Vec<_> = seats.iter().collect();
        listed.sort_by_key(|(_, seat)| seat.path.clone());
        let status = |(name, seat): (&String, &Seat)| {
            seat.status(name, self.0.metrics.handler(name).counts())
        };
        listed.into_iter().map(status).collect()
    }

    fn load(&self, file: &HandlerFile) -> Result<Arc<Handler>, LoadError> {
        let own = self.0.own.get(&file.name).cloned().unwrap_or_default();
        let metrics = self.0.metrics.handler(&file.name);
        let defaults = &self.0.config.defaults;
        let handler = Handler::load(&self.0.engine, file, defaults, &own, metrics)?;
        // One a worker, so that no batch waits for it.
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let prepared = handler.prepare(workers);
        prepared.map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })?;
        let (name, digest) = (handler.name(), handler.digest());
        tracing::info!(handler = name, digest, "handler loaded");
        Ok(Arc::new(handler))
    }

    /// Makes the chain of what is seated now, if that is another than before.
    fn publish(&self) {
        let seats = self.seats();
        let mut running: Vec<_> = seats
            .values()
            .filter(|seat| seat.running().is_some())
            .collect();
        running.sort_by_key(|seat| &seat.path);
        let chain = Chain {
            paused: running.iter().any(|seat| seat.paused),
            resumes: self.0.resumes.load(Ordering::Relaxed),
            handlers: running
                .iter()
                .filter_map(|seat| seat.running())
                .cloned()
                .collect(),
        };
        for (name, seat) in seats.iter() {
            self.0.metrics.handler(name).in_state(seat.state().name());
        }
        if chain.handlers.is_empty() {
            let dir = self.0.config.dir.display();
            tracing::warn!(%dir, "no handlers: nothing will be stored; put a .wasm into the folder");
        }
        self.0.chain.send_if_modified(|published| {
            let same = published.paused == chain.paused
                && published.resumes == chain.resumes
                && published.handlers.len() == chain.handlers.len()
                && published
                    .handlers
                    .iter()
                    .zip(&chain.handlers)
                    .all(|(a, b)| Arc::ptr_eq(a, b));
            *published = Arc::new(chain);
            !same
        });
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<String, Seat>> {
        // Each change to it is one assignment, so after a panic it is still whole.
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.0
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.seats().keys()).finish()
    }
}
