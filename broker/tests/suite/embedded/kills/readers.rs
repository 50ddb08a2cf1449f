//! A group that reads the numbers and commits what it has read; its members take turns.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use eventos_testkit::committed_offsets;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::Message,
};

use super::{Faults, Run, numbers};
use crate::embedded::support::*;

const GROUP: &str = "readers";
/// Number of commits of a member before it leaves and another one joins.
const TURN: usize = 25;

/// What the broker has acknowledged to the group.
#[derive(Default)]
pub(super) struct Read {
    /// The last acknowledged offset of each partition.
    committed: BTreeMap<i32, i64>,
    commits: usize,
    /// Number of messages that were delivered again although a later offset was committed.
    again: usize,
}

impl Read {
    /// Returns the number of acknowledged commits.
    pub(super) fn acknowledged(&self) -> usize {
        self.commits
    }

    fn saw(&mut self, partition: i32, offset: i64) {
        if self
            .committed
            .get(&partition)
            .is_some_and(|next| offset < *next)
        {
            self.again += 1;
        }
    }
}

/// Reads and commits until the run stops.
pub(super) fn load(run: &Run) -> Read {
    let mut read = Read::default();
    while run.goes_on() {
        let consumer: BaseConsumer = client(run.address)
            .set("group.id", GROUP)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "100")
            .create()
            .unwrap();
        consumer.subscribe(&[numbers::TOPIC]).unwrap();
        let until = read.commits + TURN;
        while run.goes_on() && read.commits < until {
            let next = read_a_little(&consumer, &mut read);
            if !next.is_empty() && commit(&consumer, &next) {
                read.committed.extend(next);
                read.commits += 1;
                run.commits.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    read
}

/// Reads for a moment; returns the next offset of each partition that had messages.
fn read_a_little(consumer: &BaseConsumer, read: &mut Read) -> BTreeMap<i32, i64> {
    let mut next = BTreeMap::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(10) {
        // Kills cause errors, after which the consumer reconnects by itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) {
            read.saw(message.partition(), message.offset());
            next.insert(message.partition(), message.offset() + 1);
        }
    }
    next
}

/// Commits; returns whether the broker has acknowledged it.
fn commit(consumer: &BaseConsumer, next: &BTreeMap<i32, i64>) -> bool {
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in next {
        let offset = Offset::Offset(*offset);
        offsets
            .add_partition_offset(numbers::TOPIC, *partition, offset)
            .unwrap();
    }
    consumer.commit(&offsets, CommitMode::Sync).is_ok()
}

pub(super) fn judge(run: &Run, read: &Read, faults: &mut Faults) {
    let now = committed_offsets(&run.address.to_string(), GROUP, numbers::TOPIC);
    let behind = |(partition, offset): &(&i32, &i64)| now[**partition as usize] < **offset;
    faults.behind += read.committed.iter().filter(behind).count() + read.again;
}
