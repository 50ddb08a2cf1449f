//! What one partition remembers of idempotent producers: epoch and the last batches of each, to tell a retry from a
//! gap. The rules are Kafka's (`ProducerStateManager`, `ProducerAppendInfo`). At start they come from the last
//! checkpoint and the log behind it.

mod snapshot;
pub mod transactions;

use std::collections::{HashMap, VecDeque};

use self::transactions::{Outside, Transactions};
use crate::record::batch::Header;
use crate::ids::{Offset, ProducerId};

/// Batches kept a producer: as many as an idempotent producer may have in flight.
const REMEMBERED: usize = 5;

/// Producers kept a partition. Beyond that the one that was silent for longest is forgotten, and may go on with any
/// sequence number should it come back.
const MAX_PRODUCERS: usize = 5_000;

/// The producers of one partition.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    states: HashMap<ProducerId, State>,
    /// What of it belongs to transactions.
    pub transactions: Transactions,
    /// Counts the batches remembered, as a clock for `State::used`.
    clock: u64,
}

#[derive(Clone, Debug)]
struct State {
    epoch: i16,
    /// When it last came, on the clock of `Producers`.
    used: u64,
    /// Oldest first; empty where a marker brought the epoch and nothing came since.
    batches: VecDeque<Remembered>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    first: i32,
    last: i32,
    base_offset: Offset,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is stored already, at this offset.
    Duplicate(Offset),
}

/// Why a batch may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A newer producer has taken over the id.
    #[error("producer epoch {got} is older than {current}")]
    StaleEpoch {
        /// Of the batch.
        got: i16,
        /// Of the newest batch stored.
        current: i16,
    },
    /// Batches before this one are missing.
    #[error("sequence {got} where {expected} comes next")]
    OutOfOrder {
        /// Of the batch.
        got: i32,
        /// What would be in order.
        expected: i32,
    },
    /// It is transactional where there is no transaction, or the other way round.
    #[error(transparent)]
    Outside(#[from] Outside),
}

impl Producers {
    /// Judges a batch; changes nothing. A batch of no idempotent producer is always new.
    ///
    /// A producer that the partition has not seen may begin at any sequence, since its earlier batches may have been
    /// removed with an old segment.
    ///
    /// Whoever is fenced hears that first, then whoever is outside a transaction, even of a batch that is stored.
    pub fn judge(&self, batch: &Header) -> Result<Verdict, Refusal> {
        let state = batch.producer_id.and_then(|id| self.states.get(&id));
        if let Some(state) = state
            && batch.producer_epoch < state.epoch
        {
            return Err(Refusal::StaleEpoch {
                got: batch.producer_epoch,
                current: state.epoch,
            });
        }
        self.transactions.judge(batch)?;
        match state {
            Some(state) => state.judge(batch),
            None => Ok(Verdict::New),
        }
    }

    /// Remembers a batch that was appended at `base_offset`; `bytes` are needed of a control batch only.
    ///
    /// A marker has no sequence number, but the epoch that fences whoever was cut off by it.
    pub fn remember(&mut self, batch: &Header, bytes: &[u8], base_offset: Offset) {
        self.transactions.remember(batch, bytes, base_offset);
        let Some(id) = batch.producer_id else { return };
        self.clock += 1;
        if self.states.len() >= MAX_PRODUCERS && !self.states.contains_key(&id) {
            self.forget_one();
        }
        let state = self.states.entry(id).or_insert_with(|| State {
            epoch: batch.producer_epoch,
            used: 0,
            batches: VecDeque::with_capacity(REMEMBERED),
        });
        state.used = self.clock;
        if state.epoch != batch.producer_epoch {
            state.epoch = batch.producer_epoch;
            state.batches.clear();
        }
        if batch.is_control() {
            return;
        }
        if state.batches.len() == REMEMBERED {
            state.batches.pop_front();
        }
        state.batches.push_back(Remembered {
            first: batch.base_sequence,
            last: sequence_after(batch.base_sequence, batch.last_offset_delta),
            base_offset,
        });
    }

    fn forget_one(&mut self) {
        let silent = self.states.iter().min_by_key(|(_, state)| state.used);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.states.remove(&id);
        }
    }
}

impl State {
    /// By its sequence alone.
    fn judge(&self, batch: &Header) -> Result<Verdict, Refusal> {
        let expected = if batch.producer_epoch > self.epoch {
            0
        } else {
            if let Some(offset) = self.duplicate_of(batch) {
                return Ok(Verdict::Duplicate(offset));
            }
            self.expected()
        };
        if batch.base_sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(Refusal::OutOfOrder {
                got: batch.base_sequence,
                expected,
            })
        }
    }

    fn duplicate_of(&self, batch: &Header) -> Option<Offset> {
        let last = sequence_after(batch.base_sequence, batch.last_offset_delta);
        self.batches
            .iter()
            .find(|seen| seen.first == batch.base_sequence && seen.last == last)
            .map(|seen| seen.base_offset)
    }

    fn expected(&self) -> i32 {
        self.batches
            .back()
            .map_or(0, |batch| sequence_after(batch.last, 1))
    }
}

/// Sequence numbers run from 0 to `i32::MAX` and begin again at 0.
fn sequence_after(sequence: i32, steps: i32) -> i32 {
    sequence.wrapping_add(steps) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::tests::{Sample, sample};
    use crate::ids::Producer;
    use crate::record::control_batch::{self, Outcome};

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> Header {
        let bytes = sample(&Sample {
            count,
            producer: (7, epoch, base_sequence),
            ..Sample::default()
        });
        Header::parse(&bytes).unwrap()
    }

    fn after(batches: &[Header]) -> Producers {
        let mut producers = Producers::default();
        for (i, batch) in batches.iter().enumerate() {
            assert_eq!(producers.judge(batch), Ok(Verdict::New));
            producers.remember(batch, &[], Offset(i as i64 * 100));
        }
        producers
    }

    #[test]
    fn a_retry_gets_the_offset_of_the_first_time() {
        let producers = after(&[batch(0, 0, 3), batch(0, 3, 2)]);
        assert_eq!(
            producers.judge(&batch(0, 0, 3)),
            Ok(Verdict::Duplicate(Offset(0)))
        );
        assert_eq!(
            producers.judge(&batch(0, 3, 2)),
            Ok(Verdict::Duplicate(Offset(100)))
        );
        assert_eq!(producers.judge(&batch(0, 5, 1)), Ok(Verdict::New));
    }

    #[test]
    fn a_gap_is_refused() {
        let producers = after(&[batch(0, 0, 3)]);
        assert_eq!(
            producers.judge(&batch(0, 4, 1)),
            Err(Refusal::OutOfOrder {
                got: 4,
                expected: 3
            })
        );
    }

    #[test]
    fn only_the_last_five_are_remembered() {
        let batches: Vec<_> = (0..6).map(|i| batch(0, i, 1)).collect();
        let producers = after(&batches);
        assert!(producers.judge(&batches[0]).is_err());
        assert_eq!(
            producers.judge(&batches[1]),
            Ok(Verdict::Duplicate(Offset(100)))
        );
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        let mut producers = after(&[batch(0, 0, 3)]);
        assert!(producers.judge(&batch(1, 3, 1)).is_err());
        let fresh = batch(1, 0, 1);
        assert_eq!(producers.judge(&fresh), Ok(Verdict::New));
        producers.remember(&fresh, &[], Offset(9));
        assert_eq!(
            producers.judge(&batch(0, 3, 1)),
            Err(Refusal::StaleEpoch { got: 0, current: 1 })
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
            let bytes = control_batch::encode(producer, Outcome::Abort, 0);
            producers.remember(&Header::parse(&bytes).unwrap(), &bytes, Offset(3));
            let judge = |epoch, sequence| producers.judge(&batch(epoch, sequence, 1));
            [judge(0, 3), judge(1, 0)]
        };
        assert_eq!(end(0), [Ok(Verdict::New), Ok(Verdict::New)]);
        let stale = Refusal::StaleEpoch { got: 0, current: 1 };
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
        assert_eq!(producers.judge(&all[0]), Ok(Verdict::New));
        let kept = producers.judge(&all[1]);
        assert_eq!(kept, Ok(Verdict::Duplicate(Offset(100))));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let producers = after(&[batch(0, i32::MAX - 1, 2)]);
        assert_eq!(producers.judge(&batch(0, 0, 1)), Ok(Verdict::New));
        let across = after(&[batch(0, i32::MAX, 3)]);
        assert_eq!(across.judge(&batch(0, 2, 1)), Ok(Verdict::New));
    }
}
