//! Which partitions the group has given to this instance.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::event::{Partition, Partitions};

/// The partitions of this instance as they are now. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Assigned {
    // A std mutex: held for a look or a change, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    partitions: Partitions,
    /// Those whose view is not whole yet.
    restoring: Partitions,
    changes: u64,
}

impl Assigned {
    /// These came; with `restoring`, their views are still to be rebuilt.
    pub fn gained(&self, partitions: &[Partition], restoring: bool) {
        let mut state = self.lock();
        state.partitions.add(partitions.iter().copied());
        if restoring {
            state.restoring.add(partitions.iter().copied());
        }
        state.changes += 1;
    }

    /// The view of this one is whole now.
    pub fn restored(&self, partition: Partition) {
        let mut state = self.lock();
        state.restoring = state.restoring.without(&[partition].into_iter().collect());
        state.changes += 1;
    }

    /// These went.
    pub fn lost(&self, partitions: &[Partition]) {
        let mut state = self.lock();
        let gone = partitions.iter().copied().collect();
        state.partitions = state.partitions.without(&gone);
        state.restoring = state.restoring.without(&gone);
        state.changes += 1;
    }

    /// What is assigned.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.lock().partitions.clone()
    }

    /// Those of them whose view is not whole yet.
    #[must_use]
    pub fn restoring(&self) -> Partitions {
        self.lock().restoring.clone()
    }

    /// How often it has changed. A rebalance that leaves everything as it is counts too.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing under the lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_came_and_has_not_gone() {
        let assigned = Assigned::default();
        assigned.gained(&[Partition(0), Partition(1)], false);
        assigned.clone().gained(&[Partition(5)], false);
        assigned.lost(&[Partition(0)]);
        assert_eq!(assigned.partitions().to_string(), "1,5");
        assert_eq!(assigned.changes(), 3);
        assigned.gained(&[], false);
        assert_eq!(assigned.changes(), 4);
    }

    #[test]
    fn a_view_is_whole_once_it_is_restored_or_another_has_it() {
        let assigned = Assigned::default();
        assigned.gained(&[Partition(0)], false);
        assigned.gained(&[Partition(1), Partition(2)], true);
        assert_eq!(assigned.restoring().to_string(), "1-2");
        assigned.restored(Partition(1));
        assert_eq!(assigned.restoring().to_string(), "2");
        assigned.lost(&[Partition(2)]);
        assert_eq!(assigned.restoring().to_string(), "-");
        assert_eq!(assigned.partitions().to_string(), "0-1");
    }
}
