//! Compaction: of each key only the newest record is kept (Kafka's `LogCleaner`).
//!
//! One pass reads what was added since the last one into a map of the newest offsets, then rewrites every closed
//! segment without the records that the map outdates, small neighbours into one. Offsets, sequence numbers and the order
//! stay. It goes no further than transactions are settled; records of aborted ones go, markers stay.

mod offset_map;
mod rewrite;
mod swap;
#[cfg(test)]
mod tests;

use std::io;

use crate::log::offset_index;
use crate::log::partition_log::Partition;
use crate::log::segment::Segment;
use crate::log::config::Settings;
use crate::log::state::State;
use crate::log::producer_state::transactions::Aborted;
use crate::ids::Offset;
use offset_map::Newest;
use rewrite::Rewrite;
pub use swap::{Swap, finish_swap};

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the segments before.
    pub before: u64,
    /// Bytes of them after.
    pub after: u64,
}

/// A closed segment, as a pass sees it.
#[derive(Debug)]
struct Source {
    segment: Segment,
    next: Offset,
}

/// What a pass works on, as of its beginning.
#[derive(Debug)]
struct Plan {
    settings: Settings,
    sources: Vec<Source>,
    /// From where on records may outdate others.
    dirty_from: Offset,
    aborted: Vec<Aborted>,
}

impl Partition {
    /// Makes a pass if the settings want one at `now` (ms); `None` if not.
    ///
    /// # Errors
    ///
    /// The disk refused; the log says what it said before.
    pub fn compact_if_due(&self, now: i64) -> io::Result<Option<Compacted>> {
        let _maintenance = self.lock_maintenance();
        let Some(_) = self.lock().plan(now) else {
            return Ok(None);
        };
        // Only what is sealed can be told from what a kill left behind.
        self.seal_closed()?;
        let Some(plan) = self.lock().plan(now) else {
            return Ok(None);
        };
        let newest = Newest::read(&plan)?;
        let before = plan
            .sources
            .iter()
            .map(|source| source.segment.size())
            .sum();
        let rewrite = Rewrite::new(&newest, &plan.aborted, &plan.settings, now);
        let mut after = 0;
        for group in groups(&plan) {
            after += self.replace(group, &rewrite)?;
        }
        let mut state = self.lock();
        state.compacted_to = newest.end();
        state.checkpoint_or_warn(&self.folder);
        Ok(Some(Compacted { before, after }))
    }

    /// Puts one file in the place of a group of segments; gives its bytes.
    fn replace(&self, group: &[Source], rewrite: &Rewrite<'_>) -> io::Result<u64> {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let path = first.segment.path();
        let written = rewrite.write(group)?;
        let swap = Swap {
            base: first.segment.base(),
            next: last.next,
        };
        let mut state = self.lock();
        if state.deleted {
            return Ok(0);
        }
        swap.decide(&self.folder)?;
        if let Err(error) = finish_swap(&self.folder) {
            // Half done, and to be done to its end at the next start: until then nothing may build on it.
            state.failed = true;
            return Err(error);
        }
        let (summary, base) = (written.summary, swap.base);
        let segment = match offset_index::write(path, &summary, &written.index) {
            Ok(()) => Segment::sealed(path.to_owned(), base, summary),
            Err(_) => Segment::open(path, base, summary, written.index)?,
        };
        let is_in_group = |segment: &Segment| (swap.base..swap.next).contains(&segment.base());
        let at = state.segments.iter().position(is_in_group);
        state.segments.retain(|segment| !is_in_group(segment));
        state.segments.insert(at.unwrap_or(0), segment);
        Ok(summary.size)
    }
}

impl State {
    /// What there is to do, if it is enough.
    fn plan(&self, now: i64) -> Option<Plan> {
        let settings = &self.settings;
        if self.deleted || !settings.compact {
            return None;
        }
        let stable = self.bounds().stable;
        let is_young = |segment: &Segment| {
            let newest = segment.newest_timestamp();
            settings.min_compaction_lag_ms > 0
                && newest.is_some_and(|t| now.saturating_sub(t) < settings.min_compaction_lag_ms)
        };
        let closed = &self.segments[..self.segments.len() - 1];
        let sources: Vec<_> = closed
            .iter()
            .take_while(|segment| segment.next() <= stable && !is_young(segment))
            .map(|segment| Source {
                next: segment.next(),
                segment: Segment::sealed(
                    segment.path().to_owned(),
                    segment.base(),
                    *segment.summary(),
                ),
            })
            .collect();
        let is_dirty = |source: &&Source| source.next > self.compacted_to;
        let bytes = |source: &Source| source.segment.size();
        let all: u64 = sources.iter().map(bytes).sum();
        let dirty: u64 = sources.iter().filter(is_dirty).map(bytes).sum();
        let oldest = sources.iter().find(is_dirty)?.segment.summary().first;
        let waits = oldest.map_or(0, |oldest| now.saturating_sub(oldest));
        let is_due = dirty as f64 >= all as f64 * settings.min_dirty_ratio
            || waits > settings.max_compaction_lag_ms;
        let end = sources.last()?.next;
        (dirty > 0 && is_due).then(|| Plan {
            settings: settings.clone(),
            sources,
            dirty_from: self.compacted_to,
            aborted: self
                .producers
                .transactions
                .aborted_in(self.bounds().start, end),
        })
    }
}

/// Neighbours that fit into one segment together.
fn groups(plan: &Plan) -> Vec<&[Source]> {
    let mut groups = Vec::new();
    let mut rest = &plan.sources[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|source| {
            bytes += source.segment.size();
            bytes <= plan.settings.segment_bytes
        });
        let (group, after) = rest.split_at(fitting.count().max(1));
        groups.push(group);
        rest = after;
    }
    groups
}
