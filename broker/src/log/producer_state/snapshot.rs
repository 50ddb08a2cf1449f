//! Producers in a file, so that a start need not walk the log: integers little-endian, each list behind its length u32.
//! The transactions come last, in their own form.

use std::collections::VecDeque;

use super::{Producers, REMEMBERED, Remembered, State};
use crate::ids::{Offset, ProducerId};
use crate::storage::journal::Fields;
use crate::log::producer_state::transactions::Transactions;

impl Producers {
    /// Appends everything to `out`, of the aborted stretches only those that reach behind `log_start`.
    pub fn put(&self, log_start: Offset, out: &mut Vec<u8>) {
        // In the order of their last coming, which is all that the clock is for.
        let mut states: Vec<_> = self.states.iter().collect();
        states.sort_unstable_by_key(|(_, state)| state.used);
        out.extend((states.len() as u32).to_le_bytes());
        for (id, state) in states {
            out.extend(id.0.to_le_bytes());
            out.extend(state.epoch.to_le_bytes());
            out.extend((state.batches.len() as u32).to_le_bytes());
            for batch in &state.batches {
                out.extend(batch.first.to_le_bytes());
                out.extend(batch.last.to_le_bytes());
                out.extend(batch.base_offset.0.to_le_bytes());
            }
        }
        self.transactions.put(log_start, out);
    }

    /// Takes what [`put`](Producers::put) appended from the front; `None` if it is something else.
    pub fn read(fields: &mut Fields<'_>) -> Option<Producers> {
        let mut producers = Producers::default();
        for used in 1..=u64::from(fields.u32()?) {
            let id = ProducerId(fields.i64()?);
            let epoch = fields.i16()?;
            let mut batches = VecDeque::with_capacity(REMEMBERED);
            for _ in 0..fields.u32()? {
                batches.push_back(Remembered {
                    first: fields.i32()?,
                    last: fields.i32()?,
                    base_offset: Offset(fields.i64()?),
                });
            }
            let state = State {
                epoch,
                used,
                batches,
            };
            producers.states.insert(id, state);
            producers.clock = used;
        }
        producers.transactions = Transactions::read(fields)?;
        Some(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::Header;
    use crate::record::batch::tests::{Sample, sample};
    use crate::log::producer_state::Verdict;

    #[test]
    fn what_was_put_judges_the_same() {
        let batch = |id: i64, sequence: i32, transactional: bool| {
            let bytes = sample(&Sample {
                producer: (id, 3, sequence),
                transactional,
                ..Sample::default()
            });
            Header::parse(&bytes).unwrap()
        };
        let mut producers = Producers::default();
        for i in 0..20 {
            producers.remember(&batch(1, i, false), &[], Offset(i64::from(i)));
        }
        producers.remember(&batch(2, 7, true), &[], Offset(20));
        let mut bytes = Vec::new();
        producers.put(Offset(0), &mut bytes);
        let again = Producers::read(&mut Fields(&bytes)).unwrap();
        assert_eq!(again.judge(&batch(1, 20, false)), Ok(Verdict::New));
        let twice = again.judge(&batch(1, 19, false));
        assert_eq!(twice, Ok(Verdict::Duplicate(Offset(19))));
        assert_eq!(
            again.judge(&batch(1, 9, false)),
            producers.judge(&batch(1, 9, false))
        );
        assert_eq!(again.transactions.first_open(), Some(Offset(20)));
        for cut in 0..bytes.len() {
            assert!(Producers::read(&mut Fields(&bytes[..cut])).is_none());
        }
    }
}
