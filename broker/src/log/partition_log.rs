//! A partition: its segments behind one lock, held for an append or a look at the index, never while waiting.
//!
//! How it is read stands in `reading`, how it is made to last in `lasting`, what is thrown away in `retention` and
//! `compaction`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::validation;
use super::producer_state::{Refusal, Verdict};
use super::recovery::recover;
use super::segment::Segment;
use super::config::{Settings, Timestamps};
use super::state::{State, wake};
use super::producer_state::transactions::Transactions;
use crate::Error;
use crate::record::batch::{self, Header};
use crate::clock::now_ms;
use crate::ids::Offset;
use crate::storage::Trust;

/// A log of batches, appended at its end and read anywhere.
#[derive(Debug)]
pub struct Partition {
    pub(super) folder: PathBuf,
    pub(super) state: Mutex<State>,
    /// Held by whoever replaces or removes files, for as long as that takes; taken before `state`.
    maintenance: Mutex<()>,
    /// Held by whoever waits for the disk; taken before `state`.
    pub(super) syncing: Mutex<()>,
}

/// The offsets that can be read: `start` is the first one kept, `end` the one that the next record gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The log start offset.
    pub start: Offset,
    /// The log end offset; on a single node also the high watermark.
    pub end: Offset,
    /// The last stable offset: the first record of an open transaction, or else the end.
    pub stable: Offset,
}

/// Where a batch is stored now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The first offset of the log.
    pub log_start: Offset,
    /// The time that it was given, ms, where that is the broker's to give.
    pub append_time: Option<i64>,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The topic takes no batch so large.
    #[error("a batch of {size} bytes; the topic's most is {max}")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A timestamp is further from the clock than the topic allows.
    #[error("timestamp {timestamp} is outside {earliest} to {latest}")]
    Timestamp {
        /// Of the batch, ms.
        timestamp: i64,
        /// Allowed, ms.
        earliest: i64,
        /// Allowed, ms.
        latest: i64,
    },
    /// The topic keeps the newest record of each key, and one has none.
    #[error("a compacted topic takes no record without a key")]
    NoKey {
        /// Which, counted from 0.
        records: Vec<i32>,
    },
    /// The records cannot be read, and here they must be.
    #[error("the records cannot be read: {0}")]
    Unreadable(io::Error),
    /// The sequence numbers of an idempotent producer do not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The disk refused; the log is as before.
    #[error("cannot write the log")]
    Storage(#[from] io::Error),
}

impl Partition {
    /// Opens the log in `folder`, making it when missing; a torn tail is cut.
    pub fn open(folder: &Path, settings: Settings, trust: Trust) -> Result<Partition, Error> {
        let recovered = recover(folder, trust)?;
        Ok(Partition {
            folder: folder.to_owned(),
            state: Mutex::new(State::new(settings, recovered)),
            maintenance: Mutex::default(),
            syncing: Mutex::default(),
        })
    }

    /// Stores one verified batch at the end of the log; a retry of an idempotent producer is not stored again.
    pub fn append(&self, header: &Header, batch: &[u8]) -> Result<Appended, AppendError> {
        let now = now_ms();
        let state = self.lock();
        validation::check(&state.settings, header, batch, now)?;
        state.check_usable()?;
        let log_start = state.bounds().start;
        if let Verdict::Duplicate(base_offset) = state.producers.judge(header)? {
            return Ok(Appended {
                base_offset,
                log_start,
                append_time: None,
            });
        }
        let (append_time, base_offset) = match state.settings.timestamps {
            Timestamps::CreateTime => (None, self.store(state, header, batch)?),
            Timestamps::LogAppendTime => {
                let (header, batch) = batch::stamped(header, batch, now);
                (Some(now), self.store(state, &header, &batch)?)
            }
        };
        Ok(Appended {
            base_offset,
            log_start,
            append_time,
        })
    }

    /// Stores a coordinator's marker, which no rule for producers or timestamps holds up.
    pub(super) fn append_marker(&self, header: &Header, batch: &[u8]) -> Result<(), AppendError> {
        let state = self.lock();
        state.check_usable()?;
        self.store(state, header, batch)?;
        Ok(())
    }

    fn store(
        &self,
        mut state: MutexGuard<'_, State>,
        header: &Header,
        batch: &[u8],
    ) -> io::Result<Offset> {
        let base_offset = state.bounds().end;
        if state.is_roll_due(header) {
            state.roll(&self.folder)?;
        }
        state.active_mut().append(header, batch, base_offset)?;
        state.producers.remember(header, batch, base_offset);
        if state.is_checkpoint_due() {
            state.checkpoint_or_warn(&self.folder);
        }
        let waiting = state.take_waiting();
        drop(state);
        wake(&waiting);
        Ok(base_offset)
    }

    /// From now on these settings hold.
    pub fn configure(&self, settings: Settings) {
        self.lock().settings = settings;
    }

    /// Bytes of all its batches.
    pub fn size(&self) -> u64 {
        self.lock().segments.iter().map(Segment::size).sum()
    }

    /// The offsets that can be read now.
    pub fn bounds(&self) -> Bounds {
        self.lock().bounds()
    }

    /// Wakes `fetch` at the next append. Register before looking, so that nothing falls in between.
    pub fn wake_on_append(&self, fetch: &Arc<Notify>) {
        self.lock().wait(fetch);
    }

    /// Looks at what is known of transactions, or changes it.
    pub(super) fn with_transactions<T>(&self, f: impl FnOnce(&mut Transactions) -> T) -> T {
        f(&mut self.lock().producers.transactions)
    }

    /// Takes the partition out of service and removes its files.
    pub fn delete(&self) -> io::Result<()> {
        {
            let mut state = self.lock();
            state.deleted = true;
            wake(&state.take_waiting());
        }
        // Whoever replaces files now sees the flag before anything of it counts.
        let _maintenance = self.lock_maintenance();
        fs::remove_dir_all(&self.folder)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_maintenance(&self) -> MutexGuard<'_, ()> {
        self.maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
