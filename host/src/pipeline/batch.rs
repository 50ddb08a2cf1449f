//! A batch on its way through the pipeline: from the intake through the handler chain to its commit.

use std::sync::Arc;

use super::{
    assignment::{Assignment, InFlight},
    delivery_queue::DeliveryQueue,
    effects::Effects,
    passage::ChainProgress,
};
use crate::{
    event::{
        Batch, DeadLetterReason, FailureKind, Offset, RecordRef, Timestamp, TopicPartition,
        Unreadable,
    },
    kafka::CommitPosition,
};

/// A batch, and everything that has to happen before its offset is committed.
pub(super) struct BatchJob {
    /// Its valid Eventos and tombstones, once it is [read](BatchJob::read).
    pub(super) batch: Arc<Batch>,
    /// Its records that are not valid Eventos.
    pub(super) unreadable: Unreadable,
    /// Why the whole batch could not be read, if that is so. Then it has one unreadable record, which stands for all.
    pub(super) lost: Option<DeadLetterReason>,
    /// The number of records, including the unreadable ones.
    pub(super) records: u64,
    /// The position of the partition once the batch is done.
    pub(super) next: Offset,
    /// Whether its records were handled before: they are only replayed for the view.
    pub(super) replayed: bool,
    /// Ends the batch when it is dropped.
    pub(super) in_flight: InFlight,
    /// How far it is in the handler chain, if it was interrupted there.
    pub(super) progress: Option<ChainProgress>,
    /// How many of its records the first handler gets at once at most.
    pub(super) piece: usize,
    /// What the handlers want to happen.
    pub(super) effects: Effects,
    /// The records to produce, and which of them the broker has acknowledged.
    pub(super) queue: DeliveryQueue,
    /// The topic that a record of it waits for because it does not exist.
    pub(super) missing_topic: Option<String>,
    /// Whether it cannot be delivered before a topic exists or accepts a record.
    pub(super) is_stuck: bool,
    /// The position to commit, once the effects are gathered.
    pub(super) position: Option<CommitPosition>,
}

impl BatchJob {
    /// Takes the open batch of an assignment, if it has records.
    pub(super) fn take(assignment: &mut Assignment) -> Option<Self> {
        let (batch, replayed, in_flight) = assignment.take_open()?;
        let next = batch.next_offset()?;
        Some(Self::new(batch, next, replayed, in_flight))
    }

    /// Makes a job without records, which only commits this offset for its assignment.
    pub(super) fn skip(assignment: &mut Assignment, to: Offset) -> Self {
        let (batch, in_flight) = assignment.begin_skip(to);
        Self::new(batch, to, false, in_flight)
    }

    /// Makes a job for the offsets from the position of an assignment up to `to`, which cannot be read for this reason: it
    /// makes one dead letter of them.
    pub(super) fn lost(assignment: &mut Assignment, to: Offset, reason: &str) -> Self {
        let (from, replayed, in_flight) = assignment.begin_lost(to);
        let batch = Batch::new(in_flight.topic_partition().clone());
        let mut job = Self::new(batch, to, replayed, in_flight);
        let last = to.0 - 1;
        let message = format!(
            "the offsets {from} to {last} of {} cannot be read: {reason}; replay the partition from {from} on once they can be",
            job.topic_partition()
        );
        job.lost = Some(DeadLetterReason {
            left_out: Some("key, value, headers".to_owned()),
            ..DeadLetterReason::new(FailureKind::UnreadableBatch, message)
        });
        job.unreadable.offsets.push(from);
        let records = &mut job.unreadable.records;
        records.push(None, None, [], Timestamp::NONE, 0);
        job
    }

    fn new(batch: Batch, next: Offset, replayed: bool, in_flight: InFlight) -> Self {
        Self {
            records: batch.len() as u64,
            next,
            batch: Arc::new(batch),
            unreadable: Unreadable::default(),
            lost: None,
            replayed,
            in_flight,
            progress: None,
            piece: usize::MAX,
            effects: Effects::default(),
            queue: DeliveryQueue::default(),
            missing_topic: None,
            is_stuck: false,
            position: None,
        }
    }

    /// Splits off the records from this offset on as a batch of its own, which comes next in the partition. The effects stay
    /// with this one.
    pub(super) fn split_off(&mut self, at: Offset, piece: usize) -> Self {
        let index = self.batch.offsets.partition_point(|&offset| offset < at.0);
        let rest = self.batch.slice(index..self.batch.len());
        let unreadable = self.unreadable.split_off(at);
        let records = (rest.len() + unreadable.offsets.len()) as u64;
        let rest = Self {
            unreadable,
            records,
            piece,
            ..Self::new(rest, self.next, self.replayed, self.in_flight.another())
        };
        self.batch = Arc::new(self.batch.slice(0..index));
        self.records -= records;
        self.next = at;
        rest
    }

    /// The first offset of its records.
    pub(super) fn first_offset(&self) -> Offset {
        let first = self.batch.offsets.first().copied().map(Offset);
        let unreadable = self.unreadable.offsets.first().copied();
        // A batch without records has nothing before its end.
        [first, unreadable]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.next)
    }

    /// Reads the records as Eventos. That is the worker's to do, so that the intake only polls.
    pub(super) fn read(&mut self) {
        if self.lost.is_some() {
            return;
        }
        let batch = Arc::get_mut(&mut self.batch).expect("only this job has the batch yet");
        self.unreadable = batch.read();
    }

    pub(super) fn topic_partition(&self) -> &TopicPartition {
        self.in_flight.topic_partition()
    }

    /// The record at an offset of this batch, as it was consumed.
    pub(super) fn original(&self, offset: Offset) -> RecordRef<'_> {
        match self.batch.index_of(offset) {
            Some(i) => self.batch.record(i),
            None => {
                let found = self.unreadable.offsets.binary_search(&offset);
                let i = found.expect("the offset is of this batch");
                self.unreadable.records.get(i)
            }
        }
    }
}
