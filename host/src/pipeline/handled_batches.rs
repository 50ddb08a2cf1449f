//! The batches of a worker whose effects are delivered together.
//!
//! Waiting for the broker takes a few milliseconds, in which a worker could handle thousands of records. So it handles all
//! batches that are there before it delivers them.

use std::time::{Duration, Instant};

use super::{batch::BatchJob, passage::MAX_OUTPUT};

/// At most this many batches are delivered together …
const MAX_BATCHES: usize = 32;

/// … and no more are added once handling them has taken this long: their effects wait for the others, and so does a rebalance.
const MAX_AGE: Duration = Duration::from_millis(100);

/// … or once handlers have returned this many bytes for them.
const MAX_BYTES: usize = MAX_OUTPUT;

/// The batches of one worker that the chain has handled and that are not delivered, in the order in which they were handled.
#[derive(Default)]
pub(super) struct HandledBatches {
    jobs: Vec<BatchJob>,
    /// The number of bytes that handlers have returned for them.
    bytes: usize,
    /// When the handling of the first one began.
    since: Option<Instant>,
}

impl HandledBatches {
    /// Adds a batch whose handling began at `began`. Returns whether the batches have to be delivered now.
    #[must_use]
    pub(super) fn push(&mut self, job: BatchJob, began: Instant) -> bool {
        let since = *self.since.get_or_insert(began);
        self.bytes = self.bytes.saturating_add(job.effects.output);
        self.jobs.push(job);
        self.jobs.len() >= MAX_BATCHES || self.bytes >= MAX_BYTES || since.elapsed() >= MAX_AGE
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<BatchJob> {
        std::mem::take(self).jobs
    }
}
