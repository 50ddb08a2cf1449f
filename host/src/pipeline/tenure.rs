//! How long a partition is ours: from its assignment until it is revoked or lost. What was consumed in one tenure may
//! not be committed in another, which began at the committed offset and handles it again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::event::Partition;

/// One stretch of time in which a partition is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tenure(u64);

/// Which tenures are over.
#[derive(Default)]
pub(super) struct Tenures {
    // A std mutex, held for a look-up. How many tenures of a partition have ended.
    ended: Mutex<HashMap<Partition, u64>>,
}

impl Tenures {
    /// The present tenure of a partition; before its assignment, the next.
    pub(super) fn of(&self, partition: Partition) -> Tenure {
        Tenure(self.lock().get(&partition).copied().unwrap_or_default())
    }

    /// These partitions are no longer ours.
    pub(super) fn end(&self, partitions: &[Partition]) {
        let mut ended = self.lock();
        for &partition in partitions {
            *ended.entry(partition).or_default() += 1;
        }
    }

    /// Whether a tenure is not over.
    pub(super) fn stands(&self, partition: Partition, tenure: Tenure) -> bool {
        self.of(partition) == tenure
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, u64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_ends_with_its_partition_and_another_is_not_it() {
        let (tenures, one, two) = (Tenures::default(), Partition(1), Partition(2));
        let (first, others) = (tenures.of(one), tenures.of(two));
        assert!(tenures.stands(one, first));
        tenures.end(&[one]);
        assert!(!tenures.stands(one, first));
        assert!(tenures.stands(one, tenures.of(one)));
        assert!(tenures.stands(two, others));
    }
}
