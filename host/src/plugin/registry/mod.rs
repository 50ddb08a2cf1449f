//! Decides which handlers run: files are added, replaced and removed, and people pause handlers and roll them back.
//! The registry publishes the chain; the pipeline decides when a worker begins to use it.
//!
//! A running handler is never displaced by a file that cannot be loaded: the file is reported, and nothing else
//! changes.

mod change;
mod slot;
mod watch;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch as published;

use self::slot::{HandlerSlot, Version};
pub use self::{
    change::{ChangeError, PutReport},
    slot::{HandlerState, HandlerStatus},
};
use super::{
    Admission, Config, Engine, FolderError, Handler, HandlerConfig, HandlerFile, HandlerSource,
    LoadError, discover,
};
use crate::telemetry::metrics::Metrics;

/// The handlers that every batch passes through, in order. A batch sees exactly one chain.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The handlers in file-name order.
    pub handlers: Vec<Arc<Handler>>,
    /// Whether one of them is paused: no batch passes until it is resumed.
    pub paused: bool,
    /// How often a handler was resumed: after each time, halted partitions are tried again.
    pub resumes: u64,
}

/// Receives the current chain and every later one.
pub type ChainReceiver = published::Receiver<Arc<Chain>>;

/// The handlers of a drop-in folder. Clones share one registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    engine: Engine,
    admission: Admission,
    config: Config,
    own: BTreeMap<String, HandlerConfig>,
    metrics: Metrics,
    /// Held while one handler compiles, so that the memory for that is needed only once.
    compiling: Mutex<()>,
    /// Held during a change, which never waits for a compilation; readers only wait for `slots`.
    changing: Mutex<()>,
    /// By name of the handler.
    slots: Mutex<BTreeMap<String, HandlerSlot>>,
    resumes: AtomicU64,
    chain: published::Sender<Arc<Chain>>,
}

/// The reason why the handlers of a folder cannot be loaded at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be listed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Chain {
    /// Returns a receiver of a chain that never changes.
    #[must_use]
    pub fn fixed(handlers: Vec<Arc<Handler>>) -> ChainReceiver {
        let chain = Self {
            handlers,
            ..Self::default()
        };
        published::channel(Arc::new(chain)).1
    }
}

impl Registry {
    /// Loads every handler of the folder. `own` holds the tables `[handler.NAME]`.
    ///
    /// # Errors
    /// Returns the first failure: at start, no older version could keep running instead.
    pub fn open(
        engine: Engine,
        config: Config,
        own: BTreeMap<String, HandlerConfig>,
        metrics: Metrics,
    ) -> Result<Self, OpenError> {
        let files = discover(&config.dir)?;
        let registry = Self(Arc::new(Inner {
            engine,
            admission: Admission::new(&config),
            config,
            own,
            metrics,
            compiling: Mutex::default(),
            changing: Mutex::default(),
            slots: Mutex::default(),
            resumes: AtomicU64::default(),
            chain: published::Sender::default(),
        }));
        for file in files {
            let source = HandlerSource::read(&file.path).map_err(|reason| LoadError {
                path: file.path.clone(),
                reason,
            })?;
            let version = registry.load(&file, source)?;
            let slot = HandlerSlot::new(file.path, version);
            registry.slots().insert(file.name, slot);
        }
        registry.publish();
        Ok(registry)
    }

    /// Returns a receiver of the current chain and every later one.
    #[must_use]
    pub fn chain(&self) -> ChainReceiver {
        self.0.chain.subscribe()
    }

    /// Returns the status of every handler, in the order of the chain.
    #[must_use]
    pub fn list(&self) -> Vec<HandlerStatus> {
        let slots = self.slots();
        let mut listed: Vec<_> = slots.iter().collect();
        listed.sort_by_key(|(_, slot)| slot.path.clone());
        let status = |(name, slot): (&String, &HandlerSlot)| {
            let counts = self.0.metrics.handler(name).counts();
            slot.status(name, &self.settings(name), counts)
        };
        listed.into_iter().map(status).collect()
    }

    /// Returns the table `[handler.NAME]`.
    fn settings(&self, name: &str) -> HandlerConfig {
        self.0.own.get(name).cloned().unwrap_or_default()
    }

    /// Compiles and starts a handler if its file is admitted, which takes as long as it takes; only one compiles at a time.
    fn load(&self, file: &HandlerFile, source: HandlerSource) -> Result<Version, LoadError> {
        let own = self.settings(&file.name);
        let signer = self.0.admission.check(&source, &own);
        let signer = signer.map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })?;
        let _compiling = self.0.compiling.lock();
        let metrics = self.0.metrics.handler(&file.name);
        let settings = (&self.0.config.defaults, &own);
        let handler = Handler::load_source(&self.0.engine, file, &source, settings, metrics)?;
        // One per worker, so that no batch waits for an instance to start.
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let prepared = handler.prepare(workers);
        prepared.map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })?;
        let (name, digest) = (handler.name(), handler.digest());
        let signer = signer.as_ref();
        tracing::info!(handler = name, digest, signer = signer.map(tracing::field::display), produce = ?own.produce, "handler loaded");
        Ok(Version {
            handler: Arc::new(handler),
            signer: signer.copied(),
            source,
        })
    }

    /// Publishes the chain of the handlers that run now, if it differs from the last one.
    fn publish(&self) {
        let slots = self.slots();
        let mut running: Vec<_> = slots
            .values()
            .filter(|slot| slot.running().is_some())
            .collect();
        running.sort_by_key(|slot| &slot.path);
        let chain = Chain {
            paused: running.iter().any(|slot| slot.paused),
            resumes: self.0.resumes.load(Ordering::Relaxed),
            handlers: running
                .iter()
                .filter_map(|slot| slot.running())
                .cloned()
                .collect(),
        };
        for (name, slot) in slots.iter() {
            self.0.metrics.handler(name).set_state(slot.state().name());
        }
        if chain.handlers.is_empty() {
            let dir = self.0.config.dir.display();
            tracing::warn!(%dir, "there are no handlers, so nothing will be stored; put a .wasm file into the folder");
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

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, HandlerSlot>> {
        self.0.slots.lock()
    }

    fn begin_change(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.slots().keys()).finish()
    }
}
