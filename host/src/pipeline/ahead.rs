//! How much of a partition is handed over and not done yet. It decides when the partition is paused and goes on: rarely, for
//! librdkafka throws away what it has fetched of a partition that is paused, and asks for it again, which may take
//! `fetch.wait.max.ms` (500) while nothing comes to the others.

use std::collections::VecDeque;

/// A partition is paused at so much of either …
const MOST: Amount = Amount {
    batches: 16,
    bytes: 4 << 20,
};

/// … and goes on when there is no more than this of both.
const FEW: Amount = Amount {
    batches: 4,
    bytes: 1 << 20,
};

#[derive(Clone, Copy)]
struct Amount {
    batches: usize,
    bytes: usize,
}

/// The bytes of each batch, the oldest first.
#[derive(Default)]
pub(super) struct Ahead(VecDeque<usize>);

impl Ahead {
    pub(super) fn handed_over(&mut self, bytes: usize) {
        self.0.push_back(bytes);
    }

    /// So many are left: they are done in their order.
    pub(super) fn are_left(&mut self, batches: usize) {
        let done = self.0.len().saturating_sub(batches);
        self.0.drain(..done);
    }

    pub(super) fn is_too_much(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches >= MOST.batches || bytes >= MOST.bytes
    }

    pub(super) fn is_little(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches <= FEW.batches && bytes <= FEW.bytes
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
        let mut ahead = Ahead::default();
        assert!(ahead.is_little());
        for _ in 1..MOST.batches {
            ahead.handed_over(100);
            assert!(!ahead.is_too_much());
        }
        ahead.handed_over(100);
        assert!(ahead.is_too_much());
        ahead.are_left(FEW.batches + 1);
        assert!(!ahead.is_too_much() && !ahead.is_little());
        ahead.are_left(FEW.batches);
        assert!(ahead.is_little());
        ahead.handed_over(MOST.bytes);
        assert!(ahead.is_too_much());
        // The large one is the last to be done.
        ahead.are_left(1);
        assert!(ahead.is_too_much());
        ahead.are_left(0);
        assert!(ahead.is_little());
    }
}
