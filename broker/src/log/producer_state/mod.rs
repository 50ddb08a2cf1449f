//! The state of producers in one partition: the epoch and the last batches of each idempotent producer, to distinguish a
//! retry from a gap, and the transactions.
//!
//! The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo`. At start, the state comes from the last
//! checkpoint and the batches after it.

mod snapshot;
pub(crate) mod transactions;

use std::collections::{HashMap, VecDeque};

use crate::{
    ids::{Offset, ProducerId},
    record::batch::RecordBatchHeader,
};

use self::transactions::{PartitionTransactions, TransactionMismatch};

/// The number of batches kept per producer: as many as an idempotent producer may have in flight.
const BATCHES_KEPT: usize = 5;

/// The number of producers kept per partition. Beyond it, the one that has been silent for longest is forgotten, and may
/// continue with any sequence number if it comes back.
const MAX_PRODUCERS: usize = 5_000;

/// The state of all producers in one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerStateManager {
    states: HashMap<ProducerId, ProducerState>,
    /// The transactions in the partition.
    pub(crate) transactions: PartitionTransactions,
    /// The number of batches so far, as a clock for `ProducerState::last_used`.
    clock: u64,
}

#[derive(Clone, Debug)]
struct ProducerState {
    epoch: i16,
    /// The time of the last batch, on the clock of `ProducerStateManager`.
    last_used: u64,
    /// The last batches, oldest first; empty if a control batch brought the epoch and no batch came since.
    batches: VecDeque<RememberedBatch>,
}

/// A batch of a producer.
#[derive(Clone, Copy, Debug)]
struct RememberedBatch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: Offset,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it.
    New,
    /// It is already stored, at this offset.
    Duplicate(Offset),
}

/// The reason why a batch of a producer may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProducerRefusal {
    /// A newer producer with the same id has replaced this one.
    #[error("producer epoch {got} is older than the current epoch {current}")]
    StaleEpoch {
        /// The epoch of the batch.
        got: i16,
        /// The epoch of the newest batch in the log.
        current: i16,
    },
    /// Batches before this one are missing.
    #[error("sequence number {got} instead of {expected}")]
    OutOfOrder {
        /// The sequence number of the batch.
        got: i32,
        /// The next sequence number in order.
        expected: i32,
    },
    /// The batch is transactional without an open transaction, or the other way round.
    #[error(transparent)]
    WrongTransaction(#[from] TransactionMismatch),
}

impl ProducerStateManager {
    /// Checks a batch, without changing anything. A batch without a producer id is always new.
    ///
    /// A producer that the partition does not know may begin with any sequence number, because its earlier batches may have
    /// been removed with an old segment.
    ///
    /// The checks for fencing and for transactions come first, even if the batch is already stored.
    pub(crate) fn check(&self, batch: &RecordBatchHeader) -> Result<Verdict, ProducerRefusal> {
        let state = batch.producer_id.and_then(|id| self.states.get(&id));
        if let Some(state) = state
            && batch.producer_epoch < state.epoch
        {
            return Err(ProducerRefusal::StaleEpoch {
                got: batch.producer_epoch,
                current: state.epoch,
            });
        }
        self.transactions.check(batch)?;
        match state {
            Some(state) => state.check_sequence(batch),
            None => Ok(Verdict::New),
        }
    }

    /// Adds a batch that was appended at `base_offset`. Only a control batch needs `bytes`.
    ///
    /// A control batch has no sequence number, but its epoch fences the producer whose transaction it ended.
    pub(crate) fn update(&mut self, batch: &RecordBatchHeader, bytes: &[u8], base_offset: Offset) {
        self.transactions.update(batch, bytes, base_offset);
        let Some(id) = batch.producer_id else { return };
        self.clock += 1;
        if self.states.len() >= MAX_PRODUCERS && !self.states.contains_key(&id) {
            self.forget_oldest();
        }
        let state = self.states.entry(id).or_insert_with(|| ProducerState {
            epoch: batch.producer_epoch,
            last_used: 0,
            batches: VecDeque::with_capacity(BATCHES_KEPT),
        });
        state.last_used = self.clock;
        if state.epoch != batch.producer_epoch {
            state.epoch = batch.producer_epoch;
            state.batches.clear();
        }
        if batch.is_control() {
            return;
        }
        if state.batches.len() == BATCHES_KEPT {
            state.batches.pop_front();
        }
        state.batches.push_back(RememberedBatch {
            first_sequence: batch.base_sequence,
            last_sequence: sequence_after(batch.base_sequence, batch.last_offset_delta),
            base_offset,
        });
    }

    fn forget_oldest(&mut self) {
        let silent = self.states.iter().min_by_key(|(_, state)| state.last_used);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.states.remove(&id);
        }
    }
}

impl ProducerState {
    /// Checks the sequence number of a batch.
    fn check_sequence(&self, batch: &RecordBatchHeader) -> Result<Verdict, ProducerRefusal> {
        let expected = if batch.producer_epoch > self.epoch {
            0
        } else {
            if let Some(offset) = self.duplicate_of(batch) {
                return Ok(Verdict::Duplicate(offset));
            }
            self.expected_sequence()
        };
        if batch.base_sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(ProducerRefusal::OutOfOrder {
                got: batch.base_sequence,
                expected,
            })
        }
    }

    fn duplicate_of(&self, batch: &RecordBatchHeader) -> Option<Offset> {
        let last = sequence_after(batch.base_sequence, batch.last_offset_delta);
        self.batches
            .iter()
            .find(|seen| seen.first_sequence == batch.base_sequence && seen.last_sequence == last)
            .map(|seen| seen.base_offset)
    }

    fn expected_sequence(&self) -> i32 {
        self.batches
            .back()
            .map_or(0, |batch| sequence_after(batch.last_sequence, 1))
    }
}

/// Returns a sequence number some steps later: they run from 0 to `i32::MAX` and then begin at 0 again.
fn sequence_after(sequence: i32, steps: i32) -> i32 {
    sequence.wrapping_add(steps) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::Producer,
        record::{
            batch::tests::{Sample, sample},
            control_batch::{ControlBatch, Outcome},
        },
    };

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> RecordBatchHeader {
        let bytes = sample(&Sample {
            count,
            producer: (7, epoch, base_sequence),
            ..Sample::default()
        });
        RecordBatchHeader::parse(&bytes).unwrap()
    }

    fn after(batches: &[RecordBatchHeader]) -> ProducerStateManager {
        let mut producers = ProducerStateManager::default();
        for (i, batch) in batches.iter().enumerate() {
            assert_eq!(producers.check(batch), Ok(Verdict::New));
            producers.update(batch, &[], Offset(i as i64 * 100));
        }
        producers
    }

    #[test]
    fn a_retry_gets_the_offset_of_the_first_time() {
        let producers = after(&[batch(0, 0, 3), batch(0, 3, 2)]);
        assert_eq!(
            producers.check(&batch(0, 0, 3)),
            Ok(Verdict::Duplicate(Offset(0)))
        );
        assert_eq!(
            producers.check(&batch(0, 3, 2)),
            Ok(Verdict::Duplicate(Offset(100)))
        );
        assert_eq!(producers.check(&batch(0, 5, 1)), Ok(Verdict::New));
    }

    #[test]
    fn a_gap_is_refused() {
        let producers = after(&[batch(0, 0, 3)]);
        assert_eq!(
            producers.check(&batch(0, 4, 1)),
            Err(ProducerRefusal::OutOfOrder {
                got: 4,
                expected: 3
            })
        );
    }

    #[test]
    fn only_the_last_five_are_remembered() {
        let batches: Vec<_> = (0..6).map(|i| batch(0, i, 1)).collect();
        let producers = after(&batches);
        assert!(producers.check(&batches[0]).is_err());
        assert_eq!(
            producers.check(&batches[1]),
            Ok(Verdict::Duplicate(Offset(100)))
        );
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        let mut producers = after(&[batch(0, 0, 3)]);
        assert!(producers.check(&batch(1, 3, 1)).is_err());
        let fresh = batch(1, 0, 1);
        assert_eq!(producers.check(&fresh), Ok(Verdict::New));
        producers.update(&fresh, &[], Offset(9));
        assert_eq!(
            producers.check(&batch(0, 3, 1)),
            Err(ProducerRefusal::StaleEpoch { got: 0, current: 1 })
        );
    }

    #[test]
    fn a_marker_leaves_the_sequence_and_brings_its_epoch() {
        let mut producers = after(&[batch(0, 0, 3)]);
        let mut end = |epoch| {
            let producer = Producer {
                id: ProducerId(7),
                epoch,
            };
            let outcome = Outcome::Abort;
            let bytes = ControlBatch { producer, outcome }.encode(0);
            producers.update(
                &RecordBatchHeader::parse(&bytes).unwrap(),
                &bytes,
                Offset(3),
            );
            let check = |epoch, sequence| producers.check(&batch(epoch, sequence, 1));
            [check(0, 3), check(1, 0)]
        };
        assert_eq!(end(0), [Ok(Verdict::New), Ok(Verdict::New)]);
        let stale = ProducerRefusal::StaleEpoch { got: 0, current: 1 };
        assert_eq!(end(1), [Err(stale), Ok(Verdict::New)]);
    }

    #[test]
    fn the_most_silent_producer_is_forgotten_first() {
        let of = |id: usize| {
            let mut header = batch(0, 0, 1);
            header.producer_id = Some(ProducerId(id as i64));
            header
        };
        let all: Vec<_> = (0..=MAX_PRODUCERS).map(of).collect();
        let producers = after(&all);
        assert_eq!(producers.check(&all[0]), Ok(Verdict::New));
        let kept = producers.check(&all[1]);
        assert_eq!(kept, Ok(Verdict::Duplicate(Offset(100))));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let producers = after(&[batch(0, i32::MAX - 1, 2)]);
        assert_eq!(producers.check(&batch(0, 0, 1)), Ok(Verdict::New));
        let across = after(&[batch(0, i32::MAX, 3)]);
        assert_eq!(across.check(&batch(0, 2, 1)), Ok(Verdict::New));
    }
}
