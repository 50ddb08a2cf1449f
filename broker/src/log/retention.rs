//! Deleting the start of a log: by age, by size, and on request.
//!
//! Only whole segments are removed, the oldest first. The active segment is removed only after a new one has begun. If no
//! record of a segment has a timestamp, its age is that of its file.

use std::io;

use super::{
    checkpoint::SyncMode, partition_log::PartitionLog, segment::LogSegment, state::LogState,
};
use crate::ids::Offset;

/// The reason why records cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    /// The offset is after the end of the log.
    #[error("offset {requested} is not between 0 and the end of the log, {end}")]
    OutOfRange {
        /// The requested offset.
        requested: Offset,
        /// The end of the log.
        end: Offset,
    },
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// Writing failed; nothing is deleted.
    #[error("cannot write the checkpoint of the deletion")]
    Storage(#[from] io::Error),
}

impl PartitionLog {
    /// Deletes all records before an offset, or all records for `None`; returns the new log start offset.
    ///
    /// The deletion is durable when this returns. A file is removed once all of its records are deleted.
    pub(crate) fn delete_records(&self, before: Option<Offset>) -> Result<Offset, DeleteError> {
        let _maintenance = self.maintenance.lock();
        let removed = {
            let mut state = self.state.lock();
            if state.deleted {
                return Err(DeleteError::Deleted);
            }
            let bounds = state.bounds();
            let requested = before.unwrap_or(bounds.end);
            if requested < Offset(0) || requested > bounds.end {
                return Err(DeleteError::OutOfRange {
                    requested,
                    end: bounds.end,
                });
            }
            let former = state.log_start;
            state.log_start = former.max(requested);
            if let Err(error) = state.checkpoint(&self.folder, SyncMode::Now) {
                state.log_start = former;
                return Err(error.into());
            }
            state.take_deleted()
        };
        remove(&removed);
        Ok(self.bounds().start)
    }

    /// Removes the segments that are too old or exceed the size limit at `now` (ms); returns their number.
    pub(crate) fn apply_retention(&self, now: i64) -> io::Result<usize> {
        let _maintenance = self.maintenance.lock();
        let removed = {
            let mut state = self.state.lock();
            if state.deleted || !state.config.delete {
                return Ok(0);
            }
            let expired = state.expired(now);
            if expired == state.segments.len() {
                state.roll(&self.folder)?;
            }
            if expired == 0 {
                return Ok(0);
            }
            state.log_start = state.bounds().start.max(state.segments[expired].base());
            let removed = state.take_deleted();
            state.checkpoint_or_warn(&self.folder);
            removed
        };
        remove(&removed);
        Ok(removed.len())
    }
}

impl LogState {
    /// Returns how many segments at the start of the log are too old or exceed the size limit, as in Kafka's
    /// `UnifiedLog.deleteOldSegments`.
    fn expired(&self, now: i64) -> usize {
        let (mut too_old, mut over_limit) = (0, 0);
        if let Some(retention) = self.config.retention_ms {
            let is_old = |segment: &&LogSegment| {
                // A segment whose age cannot be determined stays.
                let newest = segment.newest_time().ok().flatten();
                segment.size() > 0
                    && newest.is_some_and(|newest| now.saturating_sub(newest) > retention)
            };
            too_old = self.segments.iter().take_while(is_old).count();
        }
        if let Some(retention) = self.config.retention_bytes {
            let sizes = || self.segments.iter().map(LogSegment::size);
            let mut excess = sizes().sum::<u64>().saturating_sub(retention);
            // The remaining segments must not be smaller than the limit.
            let closed = sizes().take(self.segments.len() - 1);
            over_limit = closed
                .take_while(|size| {
                    let fits = excess >= *size;
                    excess = excess.saturating_sub(*size);
                    fits
                })
                .count();
        }
        too_old.max(over_limit)
    }

    /// Removes and returns the closed segments before the log start offset.
    fn take_deleted(&mut self) -> Vec<LogSegment> {
        let start = self.log_start;
        let closed = self.segments.len() - 1;
        let deleted = self.segments[1..].partition_point(|next| next.base() <= start);
        self.segments.drain(..deleted.min(closed)).collect()
    }
}

/// Removes the files of segments. If that fails, a later start removes them, because the log starts after them.
fn remove(segments: &[LogSegment]) {
    for segment in segments {
        match segment.remove() {
            Ok(()) => tracing::info!(path = %segment.path().display(), "removed a segment"),
            Err(error) => {
                tracing::warn!(path = %segment.path().display(), %error, "cannot remove a segment");
            }
        }
    }
}
