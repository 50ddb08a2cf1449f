//! The state behind the lock: all partitions, and the bounds.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    hash::BuildHasher,
};

use foldhash::fast::RandomState;

use super::{
    Config,
    partition::{Partition, Shape},
    segment::{Entry, Segment},
    tipos::Tipos,
};
use crate::event::{Batch, Offset, Texts, Timestamp, TopicPartition, ViewStart};

/// How far a timestamp may be ahead of the wall clock to count for the order, in ms. A broker rejects those further ahead
/// by default (`message.timestamp.after.max.ms`).
const MAX_LEAD_MS: i64 = 3_600_000;

/// Everything that is stored.
pub(super) struct State {
    partitions: BTreeMap<TopicPartition, Partition>,
    tipos: Tipos,
    hasher: RandomState,
    events: u64,
    /// Memory of the segments, excluding the spare one.
    bytes: usize,
    /// The segment that was emptied last. Its memory is reused for the next one.
    spare: Option<Segment>,
    max_events: u64,
    max_bytes: usize,
}

/// Checks the conditions on which [`super::Store::append`] panics, before the lock is taken.
pub(super) fn check(appends: &[(&Batch, &[u32])]) {
    for (batch, indices) in appends {
        assert_eq!(
            batch.topic_partition(),
            appends[0].0.topic_partition(),
            "an append is of one partition"
        );
        for &i in *indices {
            assert!(
                batch.records.value(i as usize).is_some(),
                "a tombstone cannot be stored"
            );
        }
    }
}

impl State {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            partitions: BTreeMap::new(),
            tipos: Tipos::default(),
            hasher: RandomState::default(),
            events: 0,
            bytes: 0,
            spare: None,
            max_events: config.max_events,
            max_bytes: usize::try_from(config.max_bytes.as_u64()).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn append(&mut self, appends: &[(&Batch, &[u32])]) {
        let offsets = |(batch, _): &(&Batch, _)| batch.offsets.first().copied();
        let Some(first) = appends.iter().filter_map(offsets).min() else {
            return;
        };
        let key = appends[0].0.topic_partition();
        self.truncate(key, first);
        if !self.partitions.contains_key(key) {
            self.partitions.insert(key.clone(), Partition::default());
        }
        let shape = shape(self.max_events, self.max_bytes, self.partitions.len());
        let partition = self
            .partitions
            .get_mut(key)
            .expect("the partition was inserted");
        let tail = partition.segments.len().saturating_sub(1);
        let before = partition.memory_from(tail);
        let (tipos, hasher, spare) = (&mut self.tipos, &self.hasher, &mut self.spare);
        let latest = latest_order_time();
        let mut appended = 0;
        in_order(appends, |batch, i| {
            let order_time = order_time(batch, i, latest);
            partition.push(entry(batch, i, order_time, tipos, hasher), shape, spare);
            appended += 1;
        });
        self.events += appended;
        self.bytes = self.bytes - before + partition.memory_from(tail);
        self.evict();
    }

    /// Removes a partition.
    pub(super) fn remove(&mut self, key: &TopicPartition) {
        self.truncate(key, i64::MIN);
        self.partitions.remove(key);
    }

    /// Empties a partition and begins to rebuild it.
    pub(super) fn restore(&mut self, key: &TopicPartition, start: ViewStart) {
        self.remove(key);
        let partition = Partition::restoring(start, latest_order_time());
        self.partitions.insert(key.clone(), partition);
    }

    /// Marks a partition as rebuilt.
    pub(super) fn restored(&mut self, key: &TopicPartition) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.restoring = false;
        }
    }

    pub(super) fn view_start(&self, key: &TopicPartition, next: Offset) -> ViewStart {
        let partition = self.partitions.get(key);
        partition.map_or(ViewStart::at(next), |partition| partition.view_start(next))
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn bytes(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, Segment::memory);
        self.bytes + spare + self.tipos.memory()
    }

    /// Returns how many Eventos have this tipo.
    pub(super) fn count(&self, tipo: &str) -> u64 {
        self.tipos.count(tipo.as_bytes())
    }

    pub(super) fn tipos(&self) -> &Tipos {
        &self.tipos
    }

    pub(super) fn hash(&self, id: &[u8]) -> u32 {
        hash(&self.hasher, id)
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, &Partition)> {
        self.partitions.iter()
    }

    pub(super) fn truncate(&mut self, key: &TopicPartition, from: i64) {
        let Some(partition) = self.partitions.get_mut(key) else {
            return;
        };
        if !partition.reaches(from) {
            return;
        }
        let (events, bytes) = (partition.len(), partition.memory_from(0));
        partition.truncate(from, &mut self.tipos);
        self.events -= (events - partition.len()) as u64;
        self.bytes = self.bytes - bytes + partition.memory_from(0);
    }

    /// Evicts the oldest Eventos until both bounds hold.
    fn evict(&mut self) {
        if self.bytes() > self.max_bytes {
            self.spare = None;
        }
        if !self.is_over() {
            return;
        }
        // Taken out for the time, so that the bounds can be checked meanwhile.
        let mut all = std::mem::take(&mut self.partitions);
        let mut partitions: Vec<_> = all.values_mut().collect();
        let oldest = |(index, partition): (usize, &&mut Partition)| {
            partition.oldest().map(|time| Reverse((time, index)))
        };
        let mut heap: BinaryHeap<_> = partitions.iter().enumerate().filter_map(oldest).collect();
        while self.is_over()
            && let Some(Reverse((_, index))) = heap.pop()
        {
            let partition = &mut partitions[index];
            let emptied = partition.evict(&mut self.tipos);
            heap.extend(partition.oldest().map(|time| Reverse((time, index))));
            self.events -= 1;
            self.tipos.sweep();
            if let Some(emptied) = emptied {
                let memory = emptied.memory();
                self.bytes -= memory;
                self.spare = (self.bytes() + memory <= self.max_bytes).then_some(emptied);
            }
        }
        self.partitions = all;
    }

    fn is_over(&self) -> bool {
        self.events > self.max_events || self.bytes() > self.max_bytes
    }
}

/// Chooses the size of segments: small in relation to the bounds, however many partitions share them, so that freeing
/// one frees little at a time; but large enough that their own overhead does not matter.
fn shape(max_events: u64, max_bytes: usize, partitions: usize) -> Shape {
    let events = usize::try_from(max_events).unwrap_or(usize::MAX) / partitions / 16;
    let bytes = max_bytes / partitions / 16;
    Shape {
        events: events.clamp(16, 4096),
        bytes: bytes.clamp(4 << 10, 1 << 20),
    }
}

/// Returns the latest timestamp that counts for the order now.
fn latest_order_time() -> i64 {
    Timestamp::now().0.saturating_add(MAX_LEAD_MS)
}

/// Returns the time that a record claims a place in the order with.
///
/// A timestamp after `latest` does not count, or its partition would be the newest for ever, and evicted last. The
/// record gets the place after its predecessor instead: the present would depend on when the record is read, and the
/// order after a restart would be another one. In a partition without any usable timestamp, the offset takes its place,
/// so that no partition comes before all of another one.
fn order_time(batch: &Batch, i: usize, latest: i64) -> i64 {
    let timestamp = batch.records.timestamps[i];
    if timestamp <= latest {
        timestamp
    } else {
        batch.offsets[i].min(latest)
    }
}

fn entry<'a>(
    batch: &'a Batch,
    i: usize,
    order_time: i64,
    tipos: &mut Tipos,
    hasher: &RandomState,
) -> Entry<'a> {
    let id = text(&batch.ids, i);
    Entry {
        offset: batch.offsets[i],
        order_time,
        tipo: tipos.acquire(text(&batch.tipos, i)),
        id,
        id_hash: hash(hasher, id),
        value: batch.records.value(i).expect("checked"),
    }
}

/// Returns text `i` as bytes, without checking again that they are UTF-8.
fn text(of: &Texts, i: usize) -> &[u8] {
    let start = i.checked_sub(1).map_or(0, |previous| of.ends[previous]);
    &of.bytes[start as usize..of.ends[i] as usize]
}

/// The low half of the hash is enough to pass over other ids.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half of the hash is wanted"
)]
fn hash(hasher: &RandomState, id: &[u8]) -> u32 {
    hasher.hash_one(id) as u32
}

/// Calls `each` in the order of offsets, and within one offset in the order of the appends.
fn in_order(appends: &[(&Batch, &[u32])], mut each: impl FnMut(&Batch, usize)) {
    // One handler that went through its batch in order: no need to sort.
    if let [(batch, indices)] = appends
        && indices.is_sorted()
    {
        return indices.iter().for_each(|&i| each(batch, i as usize));
    }
    let one = |(batch, indices): &(&'_ Batch, &'_ [u32])| -> Vec<(i64, u32)> {
        indices
            .iter()
            .map(|&i| (batch.offsets[i as usize], i))
            .collect()
    };
    let mut all: Vec<(i64, usize, u32)> = Vec::new();
    for (of, append) in appends.iter().enumerate() {
        all.extend(one(append).into_iter().map(|(offset, i)| (offset, of, i)));
    }
    all.sort_by_key(|&(offset, ..)| offset);
    all.iter()
        .for_each(|&(_, of, i)| each(appends[of].0, i as usize));
}
