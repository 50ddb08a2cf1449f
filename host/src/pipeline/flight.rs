//! Which batches are under way: taken from a partition, their effects not yet done. The intake
//! reads from it when to pause a partition, and a rebalance when it may let one go. Those of a partition that has
//! stopped are held: they are under way, but nobody waits for them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::event::Partition;

/// Counts batches by partition.
#[derive(Default)]
pub(super) struct Flight {
    // A std mutex, held for a look-up: nothing is awaited under it.
    batches: Mutex<HashMap<Partition, Count>>,
    landed: Condvar,
    /// What is not begun of these is not to be begun any more.
    leaving: Mutex<HashSet<Partition>>,
}

#[derive(Default)]
struct Count {
    batches: usize,
    held: bool,
}

impl Flight {
    pub(super) fn take_off(&self, partition: Partition) {
        self.lock().entry(partition).or_default().batches += 1;
    }

    /// The partition has stopped, or goes on. With nothing of it under way, there is nothing to hold.
    pub(super) fn hold(&self, partition: Partition, held: bool) {
        if let Some(count) = self.lock().get_mut(&partition) {
            count.held = held;
        }
        self.landed.notify_all();
    }

    pub(super) fn land(&self, partition: Partition) {
        let mut batches = self.lock();
        if let Some(count) = batches.get_mut(&partition) {
            count.batches -= 1;
            if count.batches == 0 {
                batches.remove(&partition);
            }
        }
        drop(batches);
        self.landed.notify_all();
    }

    pub(super) fn under_way(&self, partition: Partition) -> usize {
        let batches = self.lock();
        batches.get(&partition).map_or(0, |count| count.batches)
    }

    /// Waits like [`Flight::drain`], for these partitions are given up: whoever has them next does what is not begun of them.
    pub(super) fn leave(&self, partitions: &[Partition], at_most: Duration) -> bool {
        self.leaving().extend(partitions);
        self.drain(partitions, at_most)
    }

    /// They were given up: what comes of them from now on is of another assignment.
    pub(super) fn have_left(&self, partitions: &[Partition]) {
        let mut leaving = self.leaving();
        for partition in partitions {
            leaving.remove(partition);
        }
    }

    pub(super) fn is_leaving(&self, partition: Partition) -> bool {
        self.leaving().contains(&partition)
    }

    /// Waits until nothing of these partitions is under way but what is held; answers whether that came about in time.
    pub(super) fn drain(&self, partitions: &[Partition], at_most: Duration) -> bool {
        let busy = |batches: &mut HashMap<Partition, Count>| {
            let counts = partitions.iter().filter_map(|one| batches.get(one));
            counts.into_iter().any(|count| !count.held)
        };
        let waited = self.landed.wait_timeout_while(self.lock(), at_most, busy);
        let (_batches, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    fn leaving(&self) -> MutexGuard<'_, HashSet<Partition>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Count>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn draining_waits_for_its_own_partitions_only() {
        let flight = Flight::default();
        let (one, two) = (Partition(1), Partition(2));
        flight.take_off(one);
        flight.take_off(one);
        assert_eq!(flight.under_way(one), 2);
        assert!(flight.drain(&[two], Duration::ZERO));
        assert!(!flight.drain(&[one, two], Duration::ZERO));
        thread::scope(|scope| {
            let drained = scope.spawn(|| flight.drain(&[one], Duration::from_secs(60)));
            flight.land(one);
            flight.land(one);
            assert!(drained.join().expect("no panic"));
        });
        assert_eq!(flight.under_way(one), 0);
    }

    #[test]
    fn what_is_left_is_not_begun_until_it_has_left() {
        let flight = Flight::default();
        let (one, two) = (Partition(1), Partition(2));
        flight.take_off(one);
        assert!(!flight.leave(&[one], Duration::ZERO));
        assert!(flight.is_leaving(one) && !flight.is_leaving(two));
        flight.land(one);
        assert!(flight.leave(&[one], Duration::ZERO));
        flight.have_left(&[one]);
        assert!(!flight.is_leaving(one));
    }
}
