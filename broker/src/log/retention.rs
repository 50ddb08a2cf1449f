//! What a partition throws away at its beginning: by age, by size, and because somebody says so.
//!
//! Whole segments are removed, the oldest first; the one that is appended to only after another was begun behind it.

use std::io;

use super::checkpoint::Sync;
use super::partition_log::Partition;
use super::segment::Segment;
use super::state::State;
use crate::ids::Offset;

/// Why records are not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The log does not reach so far.
    #[error("offset {asked} lies beyond the end, {end}")]
    OutOfRange {
        /// The offset asked for.
        asked: Offset,
        /// The end of the log.
        end: Offset,
    },
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The disk refused; nothing is deleted.
    #[error("cannot note what is deleted")]
    Storage(#[from] io::Error),
}

impl Partition {
    /// Deletes all records before an offset, `None` for all that there are; gives the first offset that is left.
    ///
    /// It is noted on the disk before this returns. Files go where all of their records are deleted.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset, DeleteError> {
        let _maintenance = self.lock_maintenance();
        let removed = {
            let mut state = self.lock();
            if state.deleted {
                return Err(DeleteError::Deleted);
            }
            let bounds = state.bounds();
            let asked = before.unwrap_or(bounds.end);
            if asked < Offset(0) || asked > bounds.end {
                return Err(DeleteError::OutOfRange {
                    asked,
                    end: bounds.end,
                });
            }
            let former = state.log_start;
            state.log_start = former.max(asked);
            if let Err(error) = state.checkpoint(&self.folder, Sync::Now) {
                state.log_start = former;
                return Err(error.into());
            }
            state.take_deleted()
        };
        remove(&removed);
        Ok(self.bounds().start)
    }

    /// Removes what the settings say is too old or too much at `now` (ms); gives the number of segments.
    pub fn retain(&self, now: i64) -> io::Result<usize> {
        let _maintenance = self.lock_maintenance();
        let removed = {
            let mut state = self.lock();
            if state.deleted || !state.settings.delete {
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

impl State {
    /// How many segments at the beginning are too old, or too much; as Kafka's `UnifiedLog.deleteOldSegments`.
    fn expired(&self, now: i64) -> usize {
        let (mut too_old, mut too_much) = (0, 0);
        if let Some(retention) = self.settings.retention_ms {
            let is_old = |segment: &&Segment| {
                let newest = segment.newest_timestamp();
                segment.size() > 0
                    && newest.is_some_and(|newest| now.saturating_sub(newest) > retention)
            };
            too_old = self.segments.iter().take_while(is_old).count();
        }
        if let Some(retention) = self.settings.retention_bytes {
            let sizes = || self.segments.iter().map(Segment::size);
            let mut excess = sizes().sum::<u64>().saturating_sub(retention);
            // Only so many that what is left is still that large.
            let closed = sizes().take(self.segments.len() - 1);
            too_much = closed
                .take_while(|size| {
                    let fits = excess >= *size;
                    excess = excess.saturating_sub(*size);
                    fits
                })
                .count();
        }
        too_old.max(too_much)
    }

    /// The closed segments that lie before the log start, which are part of the log no more.
    fn take_deleted(&mut self) -> Vec<Segment> {
        let start = self.log_start;
        let closed = self.segments.len() - 1;
        let deleted = self.segments[1..].partition_point(|next| next.base() <= start);
        self.segments.drain(..deleted.min(closed)).collect()
    }
}

/// The log is without them already: where a file stays, it is removed at a later start.
fn remove(segments: &[Segment]) {
    for segment in segments {
        match segment.remove() {
            Ok(()) => tracing::info!(path = %segment.path().display(), "segment removed"),
            Err(error) => {
                tracing::warn!(path = %segment.path().display(), %error, "a file stays");
            }
        }
    }
}
