//! The log of a partition: its segments behind one lock, which is held for an append or an index lookup, but never while
//! waiting for the disk.
//!
//! Other parts of it are in `read`, `sync`, `transactional`, `retention` and `cleaner`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{
    config::{LogConfig, Timestamps},
    producer_state::{ProducerRefusal, Verdict, transactions::PartitionTransactions},
    recovery::recover,
    segment::LogSegment,
    state::{LogState, wake},
    validation::{self, RefusedRecords},
};
use crate::{
    Error,
    clock::now_ms,
    ids::{Offset, random_name},
    record::{
        batch::{self, RecordBatchHeader},
        record_reader::UnreadableRecords,
    },
    storage::Trust,
};

/// The log of a partition: batches that are appended at the end and read from anywhere.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    pub(super) folder: PathBuf,
    pub(super) state: Mutex<LogState>,
    /// Held while files are replaced or removed; locked before `state`.
    pub(super) maintenance: Mutex<()>,
    /// Held while waiting for the disk; locked before `state`.
    pub(super) syncing: Mutex<()>,
}

/// The offsets of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogBounds {
    /// The log start offset: the first one that can be read.
    pub(crate) start: Offset,
    /// The log end offset, which the next record gets; with one node, also the high watermark.
    pub(crate) end: Offset,
    /// The last stable offset: that of the first record of an open transaction, or else the end.
    pub(crate) stable: Offset,
}

/// The result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendInfo {
    /// The offset of the first record of the batch.
    pub(crate) base_offset: Offset,
    /// The log start offset.
    pub(crate) log_start: Offset,
    /// The time of the append (ms), if the topic has `LogAppendTime`.
    pub(crate) append_time: Option<i64>,
}

/// The reason why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// The batch exceeds the limit of the topic.
    #[error("a batch of {size} bytes exceeds max.message.bytes={max}")]
    TooLarge {
        /// Size of the batch in bytes.
        size: usize,
        /// Largest size in bytes.
        max: usize,
    },
    /// The topic does not accept some of the records.
    #[error("{0}")]
    Records(RefusedRecords),
    /// The records are not encoded as the format says, or are too large when they are decompressed.
    #[error(transparent)]
    Unreadable(UnreadableRecords),
    /// The offsets of the records do not count up from 0.
    #[error("the offset deltas of the records are not 0, 1, 2 and so on")]
    OffsetDeltas,
    /// The batch does not fit the state of its producer.
    #[error(transparent)]
    Refused(#[from] ProducerRefusal),
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// Writing failed; the log is as before.
    #[error("cannot write the log")]
    Storage(#[from] io::Error),
}

impl PartitionLog {
    /// Opens the log in `folder`, and creates it if it does not exist. Cuts off a torn end.
    pub(crate) fn open(
        folder: &Path,
        config: LogConfig,
        trust: Trust,
    ) -> Result<PartitionLog, Error> {
        let recovered = recover(folder, trust)?;
        Ok(PartitionLog {
            folder: folder.to_owned(),
            state: Mutex::new(LogState::new(config, recovered)),
            maintenance: Mutex::default(),
            syncing: Mutex::default(),
        })
    }

    /// Appends a batch whose checksum and header are right. A retry of an idempotent producer is not stored again.
    ///
    /// The header gets the largest timestamp of the records, which some producers leave out.
    pub(crate) fn append(
        &self,
        header: &RecordBatchHeader,
        batch: &[u8],
    ) -> Result<AppendInfo, AppendError> {
        let now = now_ms();
        // Not under the lock, because decompressing takes time. Settings that change meanwhile apply to the next batch.
        let config = self.state.lock().config.clone();
        let max_timestamp = validation::check(&config, header, batch, now)?;
        let append_time = (config.timestamps == Timestamps::LogAppendTime).then_some(now);
        let (header, batch) = batch::with_max_timestamp(
            header,
            batch,
            append_time.unwrap_or(max_timestamp),
            append_time.is_some(),
        );
        let state = self.state.lock();
        state.check_usable()?;
        let log_start = state.bounds().start;
        if let Verdict::Duplicate(base_offset) = state.producers.check(&header)? {
            return Ok(AppendInfo {
                base_offset,
                log_start,
                append_time: None,
            });
        }
        Ok(AppendInfo {
            base_offset: self.store(state, &header, &batch)?,
            log_start,
            append_time,
        })
    }

    /// Appends a control batch, for which the rules for producers and timestamps do not hold.
    pub(super) fn append_control_batch(
        &self,
        header: &RecordBatchHeader,
        batch: &[u8],
    ) -> Result<(), AppendError> {
        let state = self.state.lock();
        state.check_usable()?;
        self.store(state, header, batch)?;
        Ok(())
    }

    fn store(
        &self,
        mut state: MutexGuard<'_, LogState>,
        header: &RecordBatchHeader,
        batch: &[u8],
    ) -> io::Result<Offset> {
        let base_offset = state.bounds().end;
        if state.is_roll_due(header, now_ms()) {
            state.roll(&self.folder)?;
        }
        state.active_mut().append(header, batch, base_offset)?;
        state.producers.update(header, batch, base_offset);
        if state.is_checkpoint_due() {
            state.checkpoint_or_warn(&self.folder);
        }
        let waiting = state.take_waiting();
        drop(state);
        wake(&waiting);
        Ok(base_offset)
    }

    /// Replaces the settings of the log.
    pub(crate) fn configure(&self, config: LogConfig) {
        self.state.lock().config = config;
    }

    /// Returns the size of all batches in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.state
            .lock()
            .segments
            .iter()
            .map(LogSegment::size)
            .sum()
    }

    /// Returns the current offsets of the log.
    pub(crate) fn bounds(&self) -> LogBounds {
        self.state.lock().bounds()
    }

    /// Wakes `fetch` at the next append. Register before reading, so that no append is missed.
    pub(crate) fn wake_on_append(&self, fetch: &Arc<Notify>) {
        self.state.lock().wait(fetch);
    }

    /// Calls `f` with the transactions of the partition.
    pub(super) fn with_transactions<T>(
        &self,
        f: impl FnOnce(&mut PartitionTransactions) -> T,
    ) -> T {
        f(&mut self.state.lock().producers.transactions)
    }

    /// Takes the log out of service and removes its files.
    pub(crate) fn delete(&self) -> io::Result<()> {
        {
            let mut state = self.state.lock();
            state.deleted = true;
            wake(&state.take_waiting());
        }
        // A cleaning that is under way sees the flag before it replaces a file.
        let _maintenance = self.maintenance.lock();
        // Under another name, the folder is in no one's way if its files cannot be removed.
        let removed = removed_name(&self.folder);
        match fs::rename(&self.folder, &removed) {
            Ok(()) => fs::remove_dir_all(&removed),
            Err(_) => fs::remove_dir_all(&self.folder),
        }
    }
}

/// Returns a name for a folder that is being removed. No partition has it, because it does not end in a number.
fn removed_name(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(format!(".{}-removed", random_name()));
    name.into()
}
