//! The records that a batch produces, in their order, and how far they are.
//!
//! The queues of the batches that are delivered together are sent in groups from the front of the first one, and a group is sent
//! only after the broker has accepted or rejected every record of the one before. So nothing overtakes a record that was
//! rejected: it is sent again, alone or with fewer others, before anything behind it. The dead letters of all batches follow the
//! other records, since a record that is rejected becomes one.

use super::effects::{Effects, Kept};
use crate::event::Offset;

/// The records that a batch produces, ordered by the offsets of their sources.
#[derive(Default)]
pub(super) struct DeliveryQueue {
    /// The records that are emitted or go to the output topic.
    records: Vec<PendingRecord>,
    /// The dead letters, which are sent after all records.
    letters: Vec<PendingRecord>,
    is_started: bool,
}

/// A record to produce.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRecord {
    /// The offset of its source.
    pub(super) source: Offset,
    pub(super) outgoing: Outgoing,
    state: PendingState,
    /// How many records its group may have. It is halved when the broker rejects a group and does not say for which of its
    /// records. It stays so small when a transaction starts over, or the same group would be rejected again.
    max_group: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingState {
    Waiting,
    Acknowledged,
    /// The topic rejects it, and a dead letter was added in its place.
    Replaced,
}

/// A record among the effects of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// A record of an emission: the index of the emission, and of the record in it.
    Emitted(usize, usize),
    /// A record that left the chain: its index.
    Left(usize),
    /// A dead letter: its index, and how much of the record it keeps.
    Dead(usize, Kept),
}

/// The place of a record in the queues of some batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPlace {
    /// The index of its batch.
    pub(super) job: usize,
    is_letter: bool,
    index: usize,
}

/// Returns the places of the records to send next, in their order. `fits` decides whether a record of a batch may be sent together
/// with those before it; the first one always is.
pub(super) fn next_group<'q>(
    queues: impl Iterator<Item = &'q DeliveryQueue> + Clone,
    mut fits: impl FnMut(usize, PendingRecord) -> bool,
) -> Vec<RecordPlace> {
    let is_letter = !queues.clone().any(DeliveryQueue::has_records);
    let mut max_group = usize::MAX;
    let mut group = Vec::new();
    for (job, queue) in queues.enumerate() {
        for (index, pending) in queue.waiting(is_letter) {
            max_group = max_group.min(pending.max_group);
            if (group.len() >= max_group || !fits(job, pending)) && !group.is_empty() {
                return group;
            }
            group.push(RecordPlace {
                job,
                is_letter,
                index,
            });
        }
    }
    group
}

impl DeliveryQueue {
    pub(super) fn of(effects: &Effects) -> Self {
        let emitted = effects.emitted.iter().enumerate().flat_map(|(e, emitted)| {
            let sources = emitted.sources.iter().enumerate();
            sources.map(move |(r, &source)| (source, Outgoing::Emitted(e, r)))
        });
        let left = effects.left.iter().flat_map(|left| {
            let records = 0..left.len();
            records.map(|i| (left.offset(i), Outgoing::Left(i)))
        });
        let dead = effects.dead.iter().enumerate();
        let dead = dead.map(|(d, (offset, _))| (*offset, Outgoing::Dead(d, Kept::WHOLE)));
        Self {
            records: sorted(emitted.chain(left)),
            letters: sorted(dead),
            is_started: true,
        }
    }

    /// Returns whether this is the queue of a batch, which may have nothing to produce.
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    /// Returns whether the broker has accepted every record, or a dead letter in its place.
    pub(super) fn is_done(&self) -> bool {
        let mut all = self.records.iter().chain(&self.letters);
        all.all(|pending| pending.state != PendingState::Waiting)
    }

    /// Forgets what was accepted: the transaction was aborted. What the broker rejects stays replaced.
    pub(super) fn start_over(&mut self) {
        for pending in self.records.iter_mut().chain(&mut self.letters) {
            if pending.state == PendingState::Acknowledged {
                pending.state = PendingState::Waiting;
            }
        }
    }

    /// Returns every record and dead letter to produce.
    pub(super) fn outgoing(&self) -> impl Iterator<Item = Outgoing> {
        let all = self.records.iter().chain(&self.letters);
        let produced = all.filter(|pending| pending.state != PendingState::Replaced);
        produced.map(|pending| pending.outgoing)
    }

    /// Returns the record that is sent next, if there is one.
    pub(super) fn next(&self) -> Option<PendingRecord> {
        let is_letter = !self.has_records();
        self.waiting(is_letter).next().map(|(_, pending)| pending)
    }

    /// Returns whether any of its records waits, apart from dead letters.
    fn has_records(&self) -> bool {
        self.waiting(false).next().is_some()
    }

    /// Returns the records or the dead letters that the broker has not accepted, with their indexes.
    fn waiting(&self, is_letter: bool) -> impl Iterator<Item = (usize, PendingRecord)> {
        let list = if is_letter {
            &self.letters
        } else {
            &self.records
        };
        let waiting = list.iter().enumerate();
        let waiting = waiting.filter(|(_, pending)| pending.state == PendingState::Waiting);
        waiting.map(|(index, pending)| (index, *pending))
    }

    /// Returns the places of the records or the dead letters that the broker has not accepted, in their order. `job` is the
    /// index of this batch.
    pub(super) fn waiting_places(
        &self,
        job: usize,
        is_letter: bool,
    ) -> impl Iterator<Item = RecordPlace> {
        let waiting = self.waiting(is_letter);
        waiting.map(move |(index, _)| RecordPlace {
            job,
            is_letter,
            index,
        })
    }

    /// Returns the record at a place of [`next_group`].
    pub(super) fn at(&self, place: RecordPlace) -> PendingRecord {
        match place.is_letter {
            true => self.letters[place.index],
            false => self.records[place.index],
        }
    }

    pub(super) fn set_accepted(&mut self, place: RecordPlace) {
        self.at_mut(place).state = PendingState::Acknowledged;
    }

    /// Changes how much a dead letter keeps.
    pub(super) fn set_kept(&mut self, place: RecordPlace, letter: usize, kept: Kept) {
        self.at_mut(place).outgoing = Outgoing::Dead(letter, kept);
    }

    /// Puts a dead letter in the place of a record.
    pub(super) fn replace(&mut self, place: RecordPlace, letter: usize) {
        let source = self.at(place).source;
        self.at_mut(place).state = PendingState::Replaced;
        let after = self.letters.partition_point(|other| other.source <= source);
        let outgoing = Outgoing::Dead(letter, Kept::WHOLE);
        self.letters
            .insert(after, PendingRecord::new(source, outgoing));
    }

    /// Sends a record only together with less than half as many others from now on as in this group of suspects.
    pub(super) fn halve(&mut self, place: RecordPlace, suspects: usize) {
        let pending = self.at_mut(place);
        pending.max_group = pending.max_group.min(suspects.div_ceil(2)).max(1);
    }

    fn at_mut(&mut self, place: RecordPlace) -> &mut PendingRecord {
        match place.is_letter {
            true => &mut self.letters[place.index],
            false => &mut self.records[place.index],
        }
    }
}

impl PendingRecord {
    pub(super) fn is_waiting(&self) -> bool {
        self.state == PendingState::Waiting
    }

    fn new(source: Offset, outgoing: Outgoing) -> Self {
        Self {
            source,
            outgoing,
            state: PendingState::Waiting,
            max_group: usize::MAX,
        }
    }
}

fn sorted(records: impl Iterator<Item = (Offset, Outgoing)>) -> Vec<PendingRecord> {
    let each = records.map(|(source, outgoing)| PendingRecord::new(source, outgoing));
    let mut sorted: Vec<_> = each.collect();
    // The sort is stable, so the records of one source keep their order.
    sorted.sort_by_key(|pending| pending.source);
    sorted
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{DeadLetterReason, Partition},
        kafka::ProduceError,
        pipeline::verdict::{SentResult, Verdict, judge},
    };

    fn queue(records: usize) -> DeliveryQueue {
        let records = (0..records).map(|i| (Offset(i as i64), Outgoing::Left(i)));
        DeliveryQueue {
            records: sorted(records),
            letters: Vec::new(),
            is_started: true,
        }
    }

    /// Sends one group to a topic with one partition that rejects these records and names none of them. Returns the ids
    /// that the topic accepts.
    fn send(
        queue: &mut DeliveryQueue,
        invalid: &[bool],
        letters: &mut Vec<DeadLetterReason>,
    ) -> Vec<Outgoing> {
        let group = next_group(iter::once(&*queue), |_, _| true);
        let is_invalid = |place: &RecordPlace| match queue.at(*place).outgoing {
            Outgoing::Left(i) => invalid[i],
            _ => false,
        };
        let is_rejected = group.iter().any(is_invalid);
        let error = is_rejected.then(|| ProduceError::Refused("invalid".to_owned()));
        let result = || SentResult {
            topic: "t",
            partition: Some(Partition(0)),
            error: error.clone(),
        };
        let results: Vec<_> = group.iter().map(|_| result()).collect();
        let mut accepted = Vec::new();
        for (place, verdict) in group.iter().zip(judge(&results)) {
            match verdict {
                Verdict::Accepted => {
                    accepted.push(queue.at(*place).outgoing);
                    queue.set_accepted(*place);
                }
                Verdict::Suspect => queue.halve(*place, group.len()),
                Verdict::Guilty(_) => {
                    letters.push(DeadLetterReason::default());
                    queue.replace(*place, letters.len() - 1);
                }
                verdict => panic!("{verdict:?}"),
            }
        }
        accepted
    }

    proptest! {
        #[test]
        fn valid_records_go_out_in_order_and_each_invalid_one_gets_a_letter(
            invalid in prop::collection::vec(prop::bool::weighted(0.2), 0..200),
            in_transactions: bool,
        ) {
            let mut queue = queue(invalid.len());
            let (mut accepted, mut letters) = (Vec::new(), Vec::new());
            for _ in 0..1_000 + 8 * invalid.len() * invalid.len() {
                if queue.is_done() {
                    break;
                }
                let before = letters.len();
                let sent = send(&mut queue, &invalid, &mut letters);
                let is_rejected = sent.is_empty();
                accepted.extend(sent);
                if in_transactions && (is_rejected || letters.len() > before) {
                    queue.start_over();
                    accepted.clear();
                }
            }
            prop_assert!(queue.is_done());
            let ids = |is_invalid: bool| -> Vec<usize> {
                (0..invalid.len()).filter(|i| invalid[*i] == is_invalid).collect()
            };
            let (records, letters): (Vec<Outgoing>, Vec<Outgoing>) =
                accepted.into_iter().partition(|it| matches!(it, Outgoing::Left(_)));
            let expected = ids(false).into_iter().map(Outgoing::Left);
            prop_assert_eq!(records, expected.collect::<Vec<_>>());
            prop_assert_eq!(letters.len(), ids(true).len());
            prop_assert!(queue.letters.iter().map(|it| it.source.0 as usize).eq(ids(true)));
        }
    }
}
