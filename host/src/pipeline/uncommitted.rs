//! Batches that the chain has handled, gathered to be committed in one transaction.

use std::time::{Duration, Instant};

use super::work::Handled;

/// So many are committed at once at most …
const AT_ONCE: usize = 32;

/// … and no more are added once handling them has taken so long: who reads what is committed waits for it, and so does a
/// rebalance.
const LONGEST: Duration = Duration::from_millis(100);

/// In the order in which they were handled.
#[derive(Default)]
pub(super) struct Uncommitted {
    batches: Vec<Handled>,
    /// When the handling of the first one began.
    since: Option<Instant>,
}

impl Uncommitted {
    /// Adds one whose handling began then; answers whether all of them are to be committed now.
    #[must_use]
    pub(super) fn push(&mut self, batch: Handled, began: Instant) -> bool {
        let since = *self.since.get_or_insert(began);
        self.batches.push(batch);
        self.batches.len() >= AT_ONCE || since.elapsed() >= LONGEST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Handled> {
        std::mem::take(self).batches
    }
}
