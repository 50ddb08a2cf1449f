//! How much of a partition is in flight, and whether it has to be paused.

use std::collections::VecDeque;

/// A partition is paused when this much of it is in flight …
const PAUSE_AT: Amount = Amount {
    batches: 64,
    bytes: 4 << 20,
};

/// … and resumed when no more than this is. The two are far apart, since pausing many partitions is expensive: librdkafka throws
/// away what it has fetched of a paused partition, unless [`Consumer::pause`](crate::kafka::Consumer::pause) keeps it, and
/// fetches it again, which may take `fetch.wait.max.ms` (500 ms) during which it fetches nothing of the other partitions.
const RESUME_AT: Amount = Amount {
    batches: 16,
    bytes: 1 << 20,
};

/// The bytes of each batch that was handed over and is not finished, the oldest first.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<usize>);

#[derive(Clone, Copy)]
struct Amount {
    batches: usize,
    bytes: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: usize) {
        self.0.push_back(bytes);
    }

    /// Forgets all but the last `batches`: batches are finished in order.
    pub(super) fn keep(&mut self, batches: usize) {
        let finished = self.0.len().saturating_sub(batches);
        self.0.drain(..finished);
    }

    pub(super) fn is_too_much(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches >= PAUSE_AT.batches || bytes >= PAUSE_AT.bytes
    }

    pub(super) fn is_little(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches <= RESUME_AT.batches && bytes <= RESUME_AT.bytes
    }

    fn amount(&self) -> Amount {
        Amount {
            batches: self.0.len(),
            bytes: self.0.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_ones_are_too_much_and_so_is_a_large_one() {
        let mut backlog = Backlog::default();
        assert!(backlog.is_little());
        for _ in 1..PAUSE_AT.batches {
            backlog.push(100);
            assert!(!backlog.is_too_much());
        }
        backlog.push(100);
        assert!(backlog.is_too_much());
        backlog.keep(RESUME_AT.batches + 1);
        assert!(!backlog.is_too_much() && !backlog.is_little());
        backlog.keep(RESUME_AT.batches);
        assert!(backlog.is_little());
        backlog.push(PAUSE_AT.bytes);
        assert!(backlog.is_too_much());
        // The large one is the last to be finished.
        backlog.keep(1);
        assert!(backlog.is_too_much());
        backlog.keep(0);
        assert!(backlog.is_little());
    }
}
