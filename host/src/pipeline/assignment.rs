//! A partition while it is ours: the batch that is being filled, how much is handed over, what is under way, and since which
//! assignment.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::restore::Restore;
use crate::{
    event::{Offset, Partition, RawBatch},
    kafka::Consumed,
};

/// A batch is handed over at so many records …
const MAX_RECORDS: usize = 1_024;

/// … or bytes, whichever comes first. A record that is larger alone makes a batch alone.
const MAX_BYTES: usize = 1 << 20;

/// Whether a record of this key and value would push a batch that has others over its bytes.
pub(super) fn overflows(batch: &RawBatch, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
    let more = value.map_or(0, <[u8]>::len) + key.map_or(0, <[u8]>::len);
    !batch.is_empty() && batch.byte_len() + more > MAX_BYTES
}

/// Whether a batch takes no more.
pub(super) fn is_full(batch: &RawBatch) -> bool {
    batch.len() >= MAX_RECORDS || batch.byte_len() >= MAX_BYTES
}

pub(super) struct Lane {
    open: RawBatch,
    /// Whether the records of the open batch were handled before.
    replayed: bool,
    restore: Option<Arc<Restore>>,
    tenure: Tenure,
    pub(super) ahead: Ahead,
    pub(super) paused: bool,
}

/// A batch on its way to its worker.
pub(super) struct Parcel {
    pub(super) batch: RawBatch,
    /// Where its partition stands once it is done.
    pub(super) next: Offset,
    /// Its records were handled before: only the view is to be had of them.
    pub(super) replayed: bool,
    /// Told of how far the view has come, until that is restored.
    pub(super) restore: Option<Arc<Restore>>,
    /// In which its records were consumed.
    pub(super) tenure: Tenure,
}

impl Lane {
    pub(super) fn new(
        topic: &Arc<str>,
        partition: Partition,
        tenure: Tenure,
        restore: Option<Arc<Restore>>,
    ) -> Self {
        Self {
            open: RawBatch::new(Arc::clone(topic), partition),
            replayed: false,
            restore,
            tenure,
            ahead: Ahead::default(),
            paused: false,
        }
    }

    /// Whether the open batch, which has others, cannot take the record: for its bytes, or since it is the first that was
    /// never handled.
    pub(super) fn is_closed_to(&self, record: &Consumed<'_>) -> bool {
        let ends_replay = self.replayed && !self.is_replayed(record.offset());
        (ends_replay && self.is_open()) || overflows(&self.open, record.key(), record.value())
    }

    /// The view is restored: nobody needs to be told any more.
    pub(super) fn restored(&mut self) {
        // What is replayed never comes after that, so what is open is not.
        self.restore = None;
    }

    pub(super) fn is_restoring(&self) -> bool {
        self.restore.is_some()
    }

    /// There is no more in the partition for now, and the open batch was handed over.
    pub(super) fn ended(&self) {
        if let Some(restore) = &self.restore {
            restore.ended();
        }
    }

    fn is_replayed(&self, offset: Offset) -> bool {
        let restore = self.restore.as_ref();
        restore.is_some_and(|restore| restore.is_replayed(offset))
    }

    /// Appends a record; answers whether the batch is full now.
    pub(super) fn push(&mut self, record: &Consumed<'_>) -> bool {
        let (timestamp, flags) = record.timestamp();
        self.replayed = self.is_replayed(record.offset());
        self.open.push(
            record.offset(),
            record.key(),
            record.value(),
            record.headers(),
            timestamp,
            flags,
        );
        is_full(&self.open)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes what is there, if anything.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        let next = self.open.next_offset()?;
        if let Some(restore) = &self.restore {
            restore.handed(next);
        }
        let empty = self.open.empty_like();
        Some(Parcel {
            next,
            batch: std::mem::replace(&mut self.open, empty),
            replayed: self.replayed,
            restore: self.restore.clone(),
            tenure: self.tenure,
        })
    }
}

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
    use std::thread;

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
