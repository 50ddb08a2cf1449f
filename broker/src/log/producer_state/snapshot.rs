//! The encoding of producer state in a checkpoint: integers are little-endian, and each list follows its length u32. The
//! transactions come last.

use std::collections::VecDeque;

use super::{BATCHES_KEPT, ProducerState, ProducerStateManager, RememberedBatch};
use crate::{
    ids::{Offset, ProducerId},
    log::producer_state::transactions::PartitionTransactions,
    storage::journal::FieldReader,
};

impl ProducerStateManager {
    /// Appends the encoded state to `out`, without the aborted transactions before `log_start`.
    pub(crate) fn put(&self, log_start: Offset, out: &mut Vec<u8>) {
        // Their order is enough to restore the clock.
        let mut states: Vec<_> = self.states.iter().collect();
        states.sort_unstable_by_key(|(_, state)| state.last_used);
        out.extend((states.len() as u32).to_le_bytes());
        for (id, state) in states {
            out.extend(id.0.to_le_bytes());
            out.extend(state.epoch.to_le_bytes());
            out.extend((state.batches.len() as u32).to_le_bytes());
            for batch in &state.batches {
                out.extend(batch.first_sequence.to_le_bytes());
                out.extend(batch.last_sequence.to_le_bytes());
                out.extend(batch.base_offset.0.to_le_bytes());
            }
        }
        self.transactions.put(log_start, out);
    }

    /// Decodes what [`put`](ProducerStateManager::put) appended, or returns `None` if it is something else.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<ProducerStateManager> {
        let mut producers = ProducerStateManager::default();
        for last_used in 1..=u64::from(fields.u32()?) {
            let id = ProducerId(fields.i64()?);
            let epoch = fields.i16()?;
            let mut batches = VecDeque::with_capacity(BATCHES_KEPT);
            for _ in 0..fields.u32()? {
                batches.push_back(RememberedBatch {
                    first_sequence: fields.i32()?,
                    last_sequence: fields.i32()?,
                    base_offset: Offset(fields.i64()?),
                });
            }
            let state = ProducerState {
                epoch,
                last_used,
                batches,
            };
            producers.states.insert(id, state);
            producers.clock = last_used;
        }
        producers.transactions = PartitionTransactions::read(fields)?;
        Some(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::producer_state::Verdict,
        record::batch::{
            RecordBatchHeader,
            tests::{Sample, sample},
        },
    };

    #[test]
    fn what_was_put_judges_the_same() {
        let batch = |id: i64, sequence: i32, transactional: bool| {
            let bytes = sample(&Sample {
                producer: (id, 3, sequence),
                transactional,
                ..Sample::default()
            });
            RecordBatchHeader::parse(&bytes).unwrap()
        };
        let mut producers = ProducerStateManager::default();
        for i in 0..20 {
            producers.update(&batch(1, i, false), &[], Offset(i64::from(i)));
        }
        producers.update(&batch(2, 7, true), &[], Offset(20));
        let mut bytes = Vec::new();
        producers.put(Offset(0), &mut bytes);
        let again = ProducerStateManager::read(&mut FieldReader(&bytes)).unwrap();
        assert_eq!(again.check(&batch(1, 20, false)), Ok(Verdict::New));
        let twice = again.check(&batch(1, 19, false));
        assert_eq!(twice, Ok(Verdict::Duplicate(Offset(19))));
        assert_eq!(
            again.check(&batch(1, 9, false)),
            producers.check(&batch(1, 9, false))
        );
        assert_eq!(again.transactions.first_open(), Some(Offset(20)));
        for cut in 0..bytes.len() {
            assert!(ProducerStateManager::read(&mut FieldReader(&bytes[..cut])).is_none());
        }
    }
}
