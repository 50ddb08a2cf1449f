//! Restoring the views of assigned partitions: how far each has come, and when it counts as restored.
//!
//! A view is restored by replaying the partition, from the oldest Evento that the view is to hold, up to the committed
//! offset, and then by catching up with the end that the partition had when it was assigned.

use std::time::{Duration, Instant};

use crate::{
    event::{Offset, TopicPartition, ViewStart},
    kafka::ConsumeRange,
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// The readiness latch that opens once every view is restored.
const LATCH: &str = "restored";

/// How often the progress is logged.
const REPORT_INTERVAL: Duration = Duration::from_secs(3);

/// How long a partition may take, after the replay, to catch up with the end that it had when it was assigned. What is
/// missing is what was handled but not committed before a kill: half a second's worth.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How far the view of an assigned partition is restored.
#[derive(Default)]
pub(super) enum ViewState {
    /// The view is restored, or is not to be.
    #[default]
    Complete,
    /// The broker did not say what to replay: the view starts empty, and does not count as restored.
    Incomplete,
    /// The view is being restored.
    Restoring(Restore),
}

/// The progress of restoring one view.
pub(super) struct Restore {
    range: ConsumeRange,
    began: Instant,
    /// The offset before which everything was handed to the worker.
    handed_over: Offset,
    /// The offset before which everything has to be done.
    goal: Offset,
    /// When everything before the committed offset was done.
    replayed_at: Option<Instant>,
}

/// Follows the restores of all assigned partitions, and reports their progress.
pub(super) struct RestoreMonitor {
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) reported_at: Instant,
}

impl ViewState {
    /// The state at the start of an assignment that consumes this range, if it is known.
    pub(super) fn at_start(range: Option<ConsumeRange>) -> Self {
        range.map_or(Self::Incomplete, |range| {
            Self::Restoring(Restore::new(range))
        })
    }

    /// Returns whether the view is not complete.
    pub(super) fn is_restoring(&self) -> bool {
        !matches!(self, Self::Complete)
    }

    /// The progress, while the view is being restored.
    pub(super) fn restore(&self) -> Option<&Restore> {
        match self {
            Self::Restoring(restore) => Some(restore),
            Self::Complete | Self::Incomplete => None,
        }
    }

    /// Returns whether the record at this offset was handled before: it is only replayed for the view.
    pub(super) fn is_replayed(&self, offset: Offset) -> bool {
        let restore = self.restore();
        restore.is_some_and(|restore| offset < restore.range.handled)
    }

    /// Takes note that everything before `next` was handed to the worker.
    pub(super) fn set_handed_over(&mut self, next: Offset) {
        if let Self::Restoring(restore) = self {
            restore.handed_over = next;
        }
    }

    /// Takes note that the partition has no more records for now: what was handed over is all there is to restore. The last
    /// offsets before the goal may have no records.
    pub(super) fn set_at_end(&mut self) {
        if let Self::Restoring(restore) = self {
            restore.goal = restore.goal.min(restore.handed_over);
        }
    }
}

impl Restore {
    fn new(range: ConsumeRange) -> Self {
        Self {
            range,
            began: Instant::now(),
            handed_over: range.from,
            goal: range.end,
            replayed_at: None,
        }
    }

    /// The first offset that is replayed, and the start of the resulting view.
    pub(super) fn start(&self) -> (Offset, ViewStart) {
        let from = self.range.from;
        (from, self.range.view.unwrap_or(ViewStart::at(from)))
    }

    /// The number of records that are still to be replayed, at most: offsets may have gaps.
    fn remaining(&self, done: Option<Offset>) -> i64 {
        let from = self.range.from;
        (self.range.handled.0 - done.unwrap_or(from).max(from).0).max(0)
    }

    /// The number of records that are replayed in all, at most.
    fn total(&self) -> i64 {
        self.range.handled.0 - self.range.from.0
    }

    /// Returns whether the view is complete, given the offset before which the worker has done everything.
    fn is_complete(&mut self, done: Option<Offset>, now: Instant) -> bool {
        let Some(done) = done else {
            // The worker has not begun yet.
            return false;
        };
        if done >= self.goal {
            return true;
        }
        if done < self.range.handled {
            return false;
        }
        now.duration_since(*self.replayed_at.get_or_insert(now)) > CATCH_UP
    }
}

impl RestoreMonitor {
    /// Logs what is replayed of a partition that was assigned.
    pub(super) fn begin(&self, partition: &TopicPartition, restore: &Restore) {
        let ConsumeRange {
            from,
            handled: committed,
            ..
        } = restore.range;
        let records = restore.total();
        if records > 0 {
            tracing::info!(%partition, %from, %committed, records, "restoring the view of a partition by replaying it");
        }
        self.metrics.restoring(partition.partition, records.max(0));
    }

    /// Ends a restore that cannot be completed: the records before the committed offset are gone.
    pub(super) fn give_up(&self, partition: &TopicPartition, view: &mut ViewState) {
        if let ViewState::Restoring(_) = std::mem::take(view) {
            self.store.restored(partition);
            self.metrics.restoring(partition.partition, 0);
        }
    }

    /// Opens the readiness latch if every view is complete, and closes it otherwise.
    pub(super) fn set_latch(&self, is_complete: bool) {
        self.readiness.set(LATCH, is_complete);
    }

    /// Looks how far each restore has come, given the offset before which everything is done. Returns whether a view was
    /// completed.
    pub(super) fn check<'a>(
        &mut self,
        views: impl Iterator<Item = (&'a TopicPartition, Option<Offset>, &'a mut ViewState)>,
    ) -> bool {
        let now = Instant::now();
        let is_report_due = now.duration_since(self.reported_at) > REPORT_INTERVAL;
        let mut is_any_completed = false;
        for (partition, done, view) in views {
            let ViewState::Restoring(restore) = view else {
                continue;
            };
            let remaining = restore.remaining(done);
            self.metrics.restoring(partition.partition, remaining);
            if restore.is_complete(done, now) {
                self.complete(partition, restore);
                *view = ViewState::Complete;
                is_any_completed = true;
            } else if is_report_due && remaining > 0 {
                let total = restore.total();
                let done = total - remaining;
                tracing::info!(%partition, done, total, "restoring the view of a partition");
            }
        }
        if is_report_due {
            self.reported_at = now;
        }
        is_any_completed
    }

    fn complete(&self, partition: &TopicPartition, restore: &Restore) {
        self.store.restored(partition);
        self.metrics.restoring(partition.partition, 0);
        let (records, took) = (restore.total(), restore.began.elapsed());
        if records > 0 {
            tracing::info!(%partition, records, ?took, "the view of a partition is restored");
        }
    }
}
