//! How many batches a transaction may have: as many as the broker takes in a short time.

use std::time::Duration;

use super::handled_batches::MAX_BATCHES;

/// A transaction that takes longer than this should have fewer batches: the broker aborts one after ten seconds, and its readers
/// wait for it.
const SLOW: Duration = Duration::from_secs(1);

/// A transaction that takes less than this may have more batches.
const FAST: Duration = Duration::from_millis(250);

/// The number of batches that the next transaction may have. It begins with one.
pub(super) struct TransactionSize(usize);

impl Default for TransactionSize {
    fn default() -> Self {
        Self(1)
    }
}

impl TransactionSize {
    pub(super) fn max_batches(&self) -> usize {
        self.0
    }

    /// Takes note that a transaction with this many batches took this long.
    pub(super) fn note_success(&mut self, batches: usize, took: Duration) {
        if took > SLOW {
            self.0 = (batches / 2).max(1);
        } else if took < FAST {
            self.0 = self.0.max(2 * batches).min(MAX_BATCHES);
        }
    }

    /// Takes note that a transaction failed. It may have been too large for the time that the broker grants.
    pub(super) fn note_failure(&mut self) {
        self.0 = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(max_batches: usize, batches: usize, took: Duration) -> usize {
        let mut size = TransactionSize(max_batches);
        size.note_success(batches, took);
        size.max_batches()
    }

    #[test]
    fn a_transaction_has_as_many_batches_as_fit_into_its_time() {
        let (fast, slow) = (Duration::from_millis(20), Duration::from_secs(2));
        let sizes = [1, 2, 4, 8, 16, 32, 32];
        for pair in sizes.windows(2) {
            assert_eq!(after(pair[0], pair[0], fast), pair[1]);
        }
        // One that was not full says nothing about larger ones.
        assert_eq!(after(16, 1, fast), 16);
        assert_eq!(after(16, 16, Duration::from_millis(500)), 16);
        assert_eq!(after(32, 16, slow), 8);
        assert_eq!(after(32, 1, slow), 1);
        let mut failed = TransactionSize(32);
        failed.note_failure();
        assert_eq!(failed.max_batches(), 1);
    }
}
