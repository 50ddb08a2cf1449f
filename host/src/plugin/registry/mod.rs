//! Decides which handlers run: files are added, replaced and removed, and people pause handlers and roll them back.
//! The registry publishes the chain; the pipeline decides when a worker begins to use it.
//!
//! A running handler is never displaced by a file that cannot be loaded: the file is reported, and nothing else
//! changes. No batch passes a chain that lacks a handler. [`versions`] keeps what a restart needs for that.

mod change;
mod record;
mod reload;
mod save;
mod slot;
mod snapshot;
mod versions;
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
use tokio_util::sync::CancellationToken;

pub use self::{
    change::{ChangeError, PutReport},
    slot::{HandlerState, HandlerStatus},
};
use self::{
    record::ChainRecord,
    slot::{HandlerSlot, Version},
    versions::VersionStore,
};
use super::{
    Admission, Config, Engine, FolderError, Handler, HandlerConfig, HandlerFile, HandlerSource,
    LoadError, SameName, discover,
};
use crate::telemetry::metrics::{HandlerCounts, Metrics};

/// The handlers that every batch passes through, in order. A batch sees exactly one chain.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The handlers in file-name order.
    pub handlers: Vec<Arc<Handler>>,
    /// Whether no batch passes for now: a handler is paused, or the chain lacks one.
    pub paused: bool,
    /// How often a handler was resumed: after each time, halted partitions are tried again.
    pub resumes: u64,
}

/// Why nothing is handled right after the start.
const LOADING: &str = "the handlers are being loaded";

/// Receives the current chain and every later one.
pub type ChainReceiver = published::Receiver<Arc<Chain>>;

/// The handlers of a drop-in folder. Clones share one registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

/// The reason why no batch passes the chain, if there is one: it lacks a handler. A paused handler is not a reason.
/// Clones share one reason.
#[derive(Clone, Debug, Default)]
pub struct ChainHold(Arc<Mutex<Option<String>>>);

struct Inner {
    engine: Engine,
    admission: Admission,
    config: Config,
    own: BTreeMap<String, HandlerConfig>,
    metrics: Metrics,
    /// `None` if nothing is kept for a restart.
    versions: Option<VersionStore>,
    /// Held while one handler compiles, so that the memory for that is needed only once.
    compiling: Mutex<()>,
    /// Ends what compiles for no client.
    stopping: CancellationToken,
    /// Held during a change, which never waits for a compilation; readers only wait for `slots`.
    changing: Mutex<()>,
    /// By name of the handler.
    slots: Mutex<BTreeMap<String, HandlerSlot>>,
    notes: Mutex<Notes>,
    hold: ChainHold,
    resumes: AtomicU64,
    chain: published::Sender<Arc<Chain>>,
}

/// What is known about the chain as a whole. Locked for a moment only, and never while `slots` is being locked.
#[derive(Default)]
struct Notes {
    /// Whether the chain was complete at least once, in this run or an earlier one. Until then, every file in the folder
    /// may be a part of it.
    is_established: bool,
    /// Whether no handler has been in the folder since the chain was complete.
    was_empty: bool,
    /// The reason why the folder cannot be listed.
    folder_fault: Option<String>,
    /// Files with the name of another one.
    duplicates: Vec<SameName>,
    /// The record as it is on disk.
    saved: Option<ChainRecord>,
    /// The reason why the record on disk is not current.
    unsaved: Option<String>,
}

impl ChainHold {
    /// Returns the reason, if there is one now.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.lock().clone()
    }
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
    /// Finds the handlers of the folder, and what ran before in this consumer group. [`watch`](Self::watch) loads them; no
    /// batch passes until then. `own` holds the tables `[handler.NAME]`.
    ///
    /// # Errors
    /// Returns [`FolderError`] if the folder cannot be listed and nothing is known about it from an earlier run.
    pub fn open(
        engine: Engine,
        config: Config,
        own: BTreeMap<String, HandlerConfig>,
        group: &str,
        metrics: Metrics,
    ) -> Result<Self, FolderError> {
        let versions = VersionStore::open(&config, group);
        let record = versions.as_ref().and_then(VersionStore::record);
        let files = match discover(&config.dir) {
            // As in a running daemon, it is waited for.
            Err(_) if record.is_some() => Vec::new(),
            files => files?,
        };
        let is_established = record.as_ref().is_some_and(|record| record.is_complete);
        let recorded = record.iter().flat_map(|record| &record.handlers);
        let mut slots: BTreeMap<_, _> = recorded
            .map(|record| {
                let slot = HandlerSlot::recorded(&config.dir, record);
                (record.name.clone(), slot)
            })
            .collect();
        for HandlerFile { path, name } in files {
            let slot = || HandlerSlot::pending(path, !is_established);
            slots.entry(name).or_insert_with(slot);
        }
        for (name, slot) in &slots {
            metrics.handler(name).set_state(slot.state().name());
        }
        let chain = Chain {
            paused: true,
            ..Chain::default()
        };
        Ok(Self(Arc::new(Inner {
            engine,
            admission: Admission::new(&config),
            config,
            own,
            metrics,
            versions,
            compiling: Mutex::default(),
            stopping: CancellationToken::new(),
            changing: Mutex::default(),
            notes: Mutex::new(Notes {
                is_established,
                saved: record,
                ..Notes::default()
            }),
            slots: Mutex::new(slots),
            hold: ChainHold(Arc::new(Mutex::new(Some(LOADING.to_owned())))),
            resumes: AtomicU64::default(),
            chain: published::Sender::new(Arc::new(chain)),
        })))
    }

    /// Returns a receiver of the current chain and every later one.
    #[must_use]
    pub fn chain(&self) -> ChainReceiver {
        self.0.chain.subscribe()
    }

    /// Returns the reason why no batch passes the chain, as it is and as it changes.
    #[must_use]
    pub fn hold(&self) -> ChainHold {
        self.0.hold.clone()
    }

    /// Returns the status of every handler, in the order of the chain. A file with the name of another one follows with a
    /// status of its own.
    #[must_use]
    pub fn list(&self) -> Vec<HandlerStatus> {
        let slots = self.slots();
        let mut listed: Vec<_> = slots
            .iter()
            .map(|(name, slot)| (slot.path.clone(), self.status(name, slot)))
            .collect();
        drop(slots);
        let notes = self.0.notes.lock();
        for same in &notes.duplicates {
            listed.push((same.second.clone(), self.status_of_duplicate(same)));
        }
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut listed: Vec<_> = listed.into_iter().map(|(_, status)| status).collect();
        for status in &mut listed {
            status.unsaved.clone_from(&notes.unsaved);
            if status.error.is_none() {
                status.error.clone_from(&notes.folder_fault);
            }
        }
        listed
    }

    /// Returns the status of one handler.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<HandlerStatus> {
        let file = self.slots().get(name)?.path.clone();
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        let mut listed = self.list().into_iter();
        listed.find(|status| status.name == name && status.file == file)
    }

    fn status(&self, name: &str, slot: &HandlerSlot) -> HandlerStatus {
        let counts = self.0.metrics.handler(name).counts();
        slot.status(name, &self.settings(name), counts)
    }

    fn status_of_duplicate(&self, same: &SameName) -> HandlerStatus {
        let slot = HandlerSlot::of_duplicate(same);
        slot.status(
            &same.name,
            &self.settings(&same.name),
            HandlerCounts::default(),
        )
    }

    /// Returns the table `[handler.NAME]`.
    fn settings(&self, name: &str) -> HandlerConfig {
        self.0.own.get(name).cloned().unwrap_or_default()
    }

    /// Compiles and starts a handler if its file is admitted, which takes as long as it takes, or until `cancelled` is; only one
    /// compiles at a time.
    fn load(
        &self,
        file: &HandlerFile,
        source: HandlerSource,
        cancelled: &CancellationToken,
    ) -> Result<Version, LoadError> {
        let own = self.settings(&file.name);
        let signer = self.0.admission.check(&source, &own);
        let signer = signer.map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })?;
        let _compiling = self.0.compiling.lock();
        let metrics = self.0.metrics.handler(&file.name);
        let settings = (&self.0.config.defaults, &own);
        let engine = self.0.engine.until(cancelled);
        let handler = Handler::load_source(&engine, file, &source, settings, metrics)?;
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
            identity: source.identity().clone(),
            signer: signer.copied(),
            source: Some(source),
        })
    }

    /// Publishes the chain of the handlers that run now, if it differs from the last one, and saves it for a restart. The
    /// caller holds the lock of changes.
    fn publish(&self) {
        let hold = self.current_hold();
        let slots = self.slots();
        let mut running: Vec<_> = slots
            .values()
            .filter(|slot| slot.running().is_some())
            .collect();
        running.sort_by_key(|slot| &slot.path);
        let chain = Chain {
            paused: hold.is_some() || running.iter().any(|slot| slot.paused),
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
        drop(slots);
        self.note_hold(hold, chain.handlers.is_empty());
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
        self.save();
    }

    /// Returns the reason why no batch may pass the chain as it is now, if there is one.
    fn current_hold(&self) -> Option<String> {
        let fault = self.0.notes.lock().folder_fault.clone();
        let slots = self.slots();
        let mut ran = slots
            .iter()
            .filter(|(_, slot)| slot.last_version().is_some());
        if slots.values().any(|slot| slot.missing.is_some())
            && ran.all(|(_, slot)| slot.missing.is_some())
        {
            let dir = self.0.config.dir.display();
            let names = slots.iter().filter(|(_, slot)| slot.missing.is_some());
            let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
            return Some(format!(
                "the folder {dir} has no handler any more; put the files back, or delete the handlers: {}",
                names.join(", ")
            ));
        }
        let reasons = slots.iter().filter_map(|(name, slot)| slot.hold(name));
        let reasons: Vec<_> = reasons.collect();
        let fault = fault.filter(|_| !reasons.is_empty());
        let reasons: Vec<_> = reasons.into_iter().chain(fault).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn note_hold(&self, hold: Option<String>, is_empty: bool) {
        let former = std::mem::replace(&mut *self.0.hold.0.lock(), hold.clone());
        match &hold {
            Some(why) if former.as_ref() != Some(why) => {
                tracing::error!(why, "the chain lacks a handler, so nothing is handled");
            }
            None if former.is_some() => tracing::info!("the chain is complete"),
            _ => {}
        }
        let mut notes = self.0.notes.lock();
        if hold.is_none() {
            notes.was_empty = false;
            notes.is_established |= !is_empty;
            if is_empty {
                let dir = self.0.config.dir.display();
                tracing::warn!(%dir, "there are no handlers, so nothing will be stored; put a .wasm file into the folder");
            }
        }
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
