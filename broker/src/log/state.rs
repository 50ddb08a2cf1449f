//! The state of a log, behind its lock. Each method leaves the state consistent, and waits for nothing but a write.

use std::{
    io,
    path::Path,
    sync::{Arc, Weak},
};

use tokio::sync::Notify;

use super::{
    checkpoint::{Checkpoint, SyncMode},
    config::LogConfig,
    partition_log::{AppendError, LogBounds},
    producer_state::ProducerStateManager,
    recovery::Recovered,
    segment::LogSegment,
};
use crate::{ids::Offset, record::batch::RecordBatchHeader, storage::failed_disk};

/// What a log knows about itself.
#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) config: LogConfig,
    /// The segments in the order of their offsets; never empty. The last one is the active one.
    pub(crate) segments: Vec<LogSegment>,
    pub(crate) producers: ProducerStateManager,
    /// See [`Checkpoint::log_start`].
    pub(crate) log_start: Offset,
    /// See [`Checkpoint::cleaned_to`].
    pub(crate) cleaned_to: Offset,
    /// The number of bytes of the active segment that the checkpoint covers.
    pub(crate) checkpointed: u64,
    /// The offset up to which everything is on disk.
    pub(crate) synced_to: Offset,
    /// Whether the disk may have lost records, so that no more may be accepted.
    pub(crate) failed: bool,
    /// Fetches to wake at the next append. Those of fetches that are complete by then are dangling.
    waiting: Vec<Weak<Notify>>,
    /// Whether the topic is deleted, so that a request that still has the log writes nothing.
    pub(crate) deleted: bool,
}

/// A checkpoint is written after this many bytes, or an eighth of a segment if that is more. A start after a kill has to
/// read at most that much.
const CHECKPOINT_BYTES: u64 = 8 << 20;

impl LogState {
    /// Returns the state of a recovered folder.
    pub(crate) fn new(config: LogConfig, recovered: Recovered) -> LogState {
        let Recovered {
            segments,
            producers,
            log_start,
            cleaned_to,
        } = recovered;
        LogState {
            config,
            segments,
            producers,
            log_start,
            cleaned_to,
            checkpointed: 0,
            synced_to: Offset(0),
            failed: false,
            waiting: Vec::new(),
            deleted: false,
        }
    }

    /// Returns the active segment, to which batches are appended.
    pub(crate) fn active(&self) -> &LogSegment {
        self.segments
            .last()
            .expect("a partition has at least one segment")
    }

    /// Returns the active segment for appending to it.
    pub(crate) fn active_mut(&mut self) -> &mut LogSegment {
        self.segments
            .last_mut()
            .expect("a partition has at least one segment")
    }

    /// Checks that the log accepts appends.
    pub(crate) fn check_usable(&self) -> Result<(), AppendError> {
        if self.deleted {
            return Err(AppendError::Deleted);
        }
        if self.failed {
            return Err(AppendError::Storage(failed_disk()));
        }
        Ok(())
    }

    /// Returns whether a new segment has to begin before the batch at `now` (ms): because of the size of the active one,
    /// or because of the time since its first record, as in Kafka's `LogSegment.shouldRoll`.
    ///
    /// The timestamp of a control batch says nothing about the age of records, so it does not count.
    pub(crate) fn is_roll_due(&self, header: &RecordBatchHeader, now: i64) -> bool {
        let active = self.active();
        let is_full = active.size() + header.size as u64 > self.config.segment_bytes;
        let reached = match header.max_timestamp {
            ..0 => now,
            timestamp => timestamp,
        };
        let is_old = active
            .first_time()
            .is_some_and(|first| reached.saturating_sub(first) > self.config.segment_ms);
        active.size() > 0 && (is_full || is_old && !header.is_control())
    }

    /// Begins a new active segment.
    pub(crate) fn roll(&mut self, folder: &Path) -> io::Result<()> {
        let segment = LogSegment::create(folder, self.bounds().end)?;
        self.segments.push(segment);
        self.checkpoint_or_warn(folder);
        Ok(())
    }

    /// Returns whether a start after a kill would have to read too much.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let behind = self.active().size() - self.checkpointed;
        behind >= CHECKPOINT_BYTES.max(self.config.segment_bytes / 8)
    }

    /// Writes a checkpoint, and only logs if that fails: without it, the next start takes longer.
    pub(crate) fn checkpoint_or_warn(&mut self, folder: &Path) {
        if let Err(error) = self.checkpoint(folder, SyncMode::Later) {
            tracing::warn!(folder = %folder.display(), %error, "cannot write a checkpoint");
        }
    }

    /// Writes a checkpoint.
    pub(crate) fn checkpoint(&mut self, folder: &Path, sync: SyncMode) -> io::Result<()> {
        // Even if writing fails, so that not every append tries it again.
        self.checkpointed = self.active().size();
        let active = self.active();
        let index = active.opened().map(|open| open.index.clone());
        let checkpoint = Checkpoint {
            log_start: self.bounds().start,
            cleaned_to: self.cleaned_to,
            base: active.base(),
            summary: *active.summary(),
            index: index.unwrap_or_default(),
            producers: self.producers.clone(),
            has_known_times: true,
        };
        checkpoint.write(folder, sync)
    }

    /// Returns the current offsets of the log.
    pub(crate) fn bounds(&self) -> LogBounds {
        let start = self.segments[0].base().max(self.log_start);
        let end = self.active().next();
        let first_open = self.producers.transactions.first_open();
        LogBounds {
            start,
            end,
            stable: first_open.map_or(end, |first| first.max(start)),
        }
    }

    /// Wakes `fetch` at the next append, once.
    pub(crate) fn wait(&mut self, fetch: &Arc<Notify>) {
        let known = |waiting: &Weak<Notify>| std::ptr::eq(waiting.as_ptr(), Arc::as_ptr(fetch));
        if self.waiting.iter().any(known) {
            return;
        }
        // Without this, the list of a partition that is fetched often and appended to rarely would grow without limit.
        if self.waiting.len() >= 16 {
            self.waiting.retain(|waiting| waiting.strong_count() > 0);
        }
        self.waiting.push(Arc::downgrade(fetch));
    }

    /// Removes and returns the waiting fetches, for the caller to wake after it has released the lock.
    pub(crate) fn take_waiting(&mut self) -> Vec<Weak<Notify>> {
        std::mem::take(&mut self.waiting)
    }
}

/// Wakes those of the fetches that still wait.
pub(crate) fn wake(waiting: &[Weak<Notify>]) {
    for fetch in waiting.iter().filter_map(Weak::upgrade) {
        fetch.notify_one();
    }
}
