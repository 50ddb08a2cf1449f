//! Compaction: keeps only the newest record of each key (Kafka's `LogCleaner`).
//!
//! A cleaning reads the records since the last one into an [`OffsetMap`] of the newest offset of each key. Then it rewrites
//! all closed segments without the records that are outdated, and merges small neighbours. Offsets, sequence numbers and
//! the order stay. A cleaning stops at the last stable offset; it removes the records of aborted transactions, and keeps
//! control batches.

mod offset_map;
mod rewrite;
mod swap;
#[cfg(test)]
mod tests;

use std::io;

use super::{
    config::LogConfig, partition_log::PartitionLog, producer_state::transactions::AbortedTxn,
    segment::LogSegment, state::LogState,
};
use crate::ids::Offset;

use offset_map::OffsetMap;
use rewrite::SegmentRewriter;
use swap::SegmentSwap;

pub(super) use swap::finish_swap;

/// The result of a cleaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CleanStats {
    /// Size of the cleaned segments before, in bytes.
    pub(crate) bytes_before: u64,
    /// Size of them after, in bytes.
    pub(crate) bytes_after: u64,
}

/// A closed segment to clean.
#[derive(Debug)]
struct SourceSegment {
    segment: LogSegment,
    /// The offset after its last record.
    next: Offset,
}

/// What a cleaning works on, as of its beginning.
#[derive(Debug)]
struct CleanPlan {
    config: LogConfig,
    sources: Vec<SourceSegment>,
    /// The offset from which records may outdate others.
    dirty_from: Offset,
    aborted: Vec<AbortedTxn>,
}

/// Cleans one log. The caller holds the maintenance lock of the log.
struct LogCleaner<'a> {
    log: &'a PartitionLog,
    /// The time of the cleaning (ms).
    now: i64,
}

impl PartitionLog {
    /// Cleans the log if its settings ask for it at `now` (ms); returns `None` if they do not.
    ///
    /// # Errors
    ///
    /// Returns an error if reading or writing fails. The log then has the same records as before.
    pub(crate) fn clean_if_due(&self, now: i64) -> io::Result<Option<CleanStats>> {
        let _maintenance = self.maintenance.lock();
        LogCleaner { log: self, now }.clean_if_due()
    }
}

impl LogCleaner<'_> {
    fn clean_if_due(&self) -> io::Result<Option<CleanStats>> {
        if self.log.state.lock().plan_cleaning(self.now).is_none() {
            return Ok(None);
        }
        // After a kill, only sealed segments can be distinguished from those that were being replaced.
        self.log.seal_closed()?;
        // Releases the lock before the cleaning, which takes it again.
        let plan = self.log.state.lock().plan_cleaning(self.now);
        match plan {
            Some(plan) => self.clean(&plan).map(Some),
            None => Ok(None),
        }
    }

    fn clean(&self, plan: &CleanPlan) -> io::Result<CleanStats> {
        let newest = OffsetMap::build(plan)?;
        let sizes = plan.sources.iter().map(|source| source.segment.size());
        let bytes_before = sizes.sum();
        let rewriter = SegmentRewriter::new(&newest, &plan.aborted, &plan.config, self.now);
        let mut bytes_after = 0;
        for group in groups(plan) {
            bytes_after += self.replace(group, &rewriter)?;
        }
        let mut state = self.log.state.lock();
        state.cleaned_to = newest.end();
        state.checkpoint_or_warn(&self.log.folder);
        Ok(CleanStats {
            bytes_before,
            bytes_after,
        })
    }

    /// Replaces a group of segments by one; returns its size in bytes.
    fn replace(&self, group: &[SourceSegment], rewriter: &SegmentRewriter<'_>) -> io::Result<u64> {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let path = first.segment.path();
        let rewritten = rewriter.write(group)?;
        let swap = SegmentSwap {
            base: first.segment.base(),
            next: last.next,
        };
        let mut state = self.log.state.lock();
        if state.deleted {
            return Ok(0);
        }
        swap.decide(&self.log.folder)?;
        if let Err(error) = finish_swap(&self.log.folder) {
            // The swap is half done, and the next start finishes it. Until then nothing may build on it.
            state.failed = true;
            return Err(error);
        }
        let (summary, base) = (rewritten.summary, swap.base);
        let segment = match rewritten.index.write(path, &summary) {
            Ok(()) => LogSegment::sealed(path.to_owned(), base, summary),
            Err(_) => LogSegment::open(path, base, summary, rewritten.index)?,
        };
        let is_in_group = |segment: &LogSegment| (swap.base..swap.next).contains(&segment.base());
        let at = state.segments.iter().position(is_in_group);
        state.segments.retain(|segment| !is_in_group(segment));
        state.segments.insert(at.unwrap_or(0), segment);
        Ok(summary.size)
    }
}

impl LogState {
    /// Returns what to clean, if there is enough of it.
    fn plan_cleaning(&self, now: i64) -> Option<CleanPlan> {
        let config = &self.config;
        if self.deleted || !config.compact {
            return None;
        }
        let stable = self.bounds().stable;
        let is_young = |segment: &LogSegment| {
            // A segment whose age cannot be determined stays.
            let age = |newest: i64| now.saturating_sub(newest);
            let newest = || {
                segment
                    .newest_time()
                    .map(|newest| newest.map_or(i64::MAX, age))
            };
            config.min_compaction_lag_ms > 0
                && newest().map_or(true, |age| age < config.min_compaction_lag_ms)
        };
        let closed = &self.segments[..self.segments.len() - 1];
        let sources: Vec<_> = closed
            .iter()
            .take_while(|segment| segment.next() <= stable && !is_young(segment))
            .map(|segment| SourceSegment {
                next: segment.next(),
                segment: LogSegment::sealed(
                    segment.path().to_owned(),
                    segment.base(),
                    *segment.summary(),
                ),
            })
            .collect();
        let is_dirty = |source: &&SourceSegment| source.next > self.cleaned_to;
        let bytes = |source: &SourceSegment| source.segment.size();
        let all: u64 = sources.iter().map(bytes).sum();
        let dirty: u64 = sources.iter().filter(is_dirty).map(bytes).sum();
        // A batch without a timestamp has no age, as in Kafka's `LogCleanerManager.maxCompactionDelay`.
        let oldest = sources.iter().find(is_dirty)?.segment.summary().first;
        let oldest = oldest.filter(|oldest| *oldest >= 0);
        let lag = oldest.map_or(0, |oldest| now.saturating_sub(oldest));
        let is_due = dirty as f64 >= all as f64 * config.min_dirty_ratio
            || lag > config.max_compaction_lag_ms;
        let end = sources.last()?.next;
        (dirty > 0 && is_due).then(|| CleanPlan {
            config: config.clone(),
            sources,
            dirty_from: self.cleaned_to,
            aborted: self
                .producers
                .transactions
                .aborted_in(self.bounds().start, end),
        })
    }
}

/// Groups neighbouring segments that fit into one segment.
fn groups(plan: &CleanPlan) -> Vec<&[SourceSegment]> {
    let mut groups = Vec::new();
    let mut rest = &plan.sources[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|source| {
            bytes += source.segment.size();
            bytes <= plan.config.segment_bytes
        });
        let (group, after) = rest.split_at(fitting.count().max(1));
        groups.push(group);
        rest = after;
    }
    groups
}
