//! What a partition knows, behind its lock: each step here is complete before the lock is let go of, and none waits for
//! anything but a write.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::checkpoint::{Checkpoint, Sync};
use super::partition_log::{AppendError, Bounds};
use super::producer_state::Producers;
use super::recovery::Recovered;
use super::segment::Segment;
use super::config::Settings;
use crate::record::batch::Header;
use crate::ids::Offset;

#[derive(Debug)]
pub struct State {
    pub settings: Settings,
    /// In the order of their offsets; never empty; the last one is appended to.
    pub segments: Vec<Segment>,
    pub producers: Producers,
    /// See [`Checkpoint::log_start`].
    pub log_start: Offset,
    /// See [`Checkpoint::compacted_to`].
    pub compacted_to: Offset,
    /// Bytes of the last segment that the checkpoint covers.
    pub checkpointed: u64,
    /// The disk has everything before.
    pub synced_to: Offset,
    /// The disk lost something, so nothing more may be promised.
    pub failed: bool,
    /// Fetches to wake at the next append. Those whose fetch was answered meanwhile are dead.
    waiting: Vec<Weak<Notify>>,
    /// Set when the topic is deleted, so that a request still holding the partition writes nothing any more.
    pub deleted: bool,
}

/// At least this much, or an eighth of a segment, is appended between two checkpoints: what a start after a kill reads.
const CHECKPOINT_BYTES: u64 = 8 << 20;

impl State {
    /// As a folder was recovered.
    pub fn new(settings: Settings, recovered: Recovered) -> State {
        let Recovered {
            segments,
            producers,
            log_start,
            compacted_to,
        } = recovered;
        State {
            settings,
            segments,
            producers,
            log_start,
            compacted_to,
            checkpointed: 0,
            synced_to: Offset(0),
            failed: false,
            waiting: Vec::new(),
            deleted: false,
        }
    }

    /// The segment that is appended to.
    pub fn active(&self) -> &Segment {
        self.segments
            .last()
            .expect("a partition has at least one segment")
    }

    /// The same, to append to it.
    pub fn active_mut(&mut self) -> &mut Segment {
        self.segments
            .last_mut()
            .expect("a partition has at least one segment")
    }

    /// Whether anything may be appended.
    pub fn check_usable(&self) -> Result<(), AppendError> {
        if self.deleted {
            return Err(AppendError::Deleted);
        }
        if self.failed {
            let error =
                io::Error::other("the disk failed to keep earlier records; restart to go on");
            return Err(AppendError::Storage(error));
        }
        Ok(())
    }

    /// By size, or by the time between the first record and this one, as Kafka's `LogSegment.shouldRoll`.
    ///
    /// A marker's time is the coordinator's, and says nothing of the age of records.
    pub fn is_roll_due(&self, header: &Header) -> bool {
        let active = self.active().summary();
        let is_full = active.size + header.size as u64 > self.settings.segment_bytes;
        let age = |first: i64| header.max_timestamp.saturating_sub(first);
        let is_old = active
            .first
            .is_some_and(|first| age(first) > self.settings.segment_ms);
        active.size > 0 && (is_full || is_old && !header.is_control())
    }

    /// Begins a new segment at the end.
    pub fn roll(&mut self, folder: &Path) -> io::Result<()> {
        let segment = Segment::create(folder, self.bounds().end)?;
        self.segments.push(segment);
        self.checkpoint_or_warn(folder);
        Ok(())
    }

    /// Whether a start after a kill would read too much.
    pub fn is_checkpoint_due(&self) -> bool {
        let behind = self.active().size() - self.checkpointed;
        behind >= CHECKPOINT_BYTES.max(self.settings.segment_bytes / 8)
    }

    /// Losing one costs a longer start, no more.
    pub fn checkpoint_or_warn(&mut self, folder: &Path) {
        if let Err(error) = self.checkpoint(folder, Sync::Later) {
            tracing::warn!(folder = %folder.display(), %error, "no checkpoint");
        }
    }

    /// Writes down what is known, see [`Checkpoint`].
    pub fn checkpoint(&mut self, folder: &Path, sync: Sync) -> io::Result<()> {
        // Also where it fails, lest every append tries again.
        self.checkpointed = self.active().size();
        let active = self.active();
        let index = active.opened().map(|open| open.index.clone());
        let checkpoint = Checkpoint {
            log_start: self.bounds().start,
            compacted_to: self.compacted_to,
            base: active.base(),
            summary: *active.summary(),
            index: index.unwrap_or_default(),
            producers: self.producers.clone(),
        };
        checkpoint.write(folder, sync)
    }

    /// The offsets that can be read now.
    pub fn bounds(&self) -> Bounds {
        let start = self.segments[0].base().max(self.log_start);
        let end = self.active().next();
        let first_open = self.producers.transactions.first_open();
        Bounds {
            start,
            end,
            stable: first_open.map_or(end, |first| first.max(start)),
        }
    }

    /// Wakes `fetch` at the next append, once.
    pub fn wait(&mut self, fetch: &Arc<Notify>) {
        let known = |waiting: &Weak<Notify>| std::ptr::eq(waiting.as_ptr(), Arc::as_ptr(fetch));
        if self.waiting.iter().any(known) {
            return;
        }
        // A quiet partition that is polled for long would otherwise collect the dead.
        if self.waiting.len() >= 16 {
            self.waiting.retain(|waiting| waiting.strong_count() > 0);
        }
        self.waiting.push(Arc::downgrade(fetch));
    }

    /// Who waits, to be woken once the lock is let go of.
    pub fn take_waiting(&mut self) -> Vec<Weak<Notify>> {
        std::mem::take(&mut self.waiting)
    }
}

/// Wakes fetches, those that still wait.
pub fn wake(waiting: &[Weak<Notify>]) {
    for fetch in waiting.iter().filter_map(Weak::upgrade) {
        fetch.notify_one();
    }
}

/// Why nothing may be promised any more.
pub fn lost() -> io::Error {
    io::Error::other("the disk failed to keep earlier records; restart to go on")
}
