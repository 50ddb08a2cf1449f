//! What one partition knows of transactions: which are open in it, and which of its stretches were aborted. Who may
//! open one is decided elsewhere; here is only kept that nothing else gets in (the rules are Kafka's
//! `ProducerStateManager`; admitting in the partition itself closes the gap that KIP-890 describes). The stretches and
//! the open transactions that have records are rebuilt from the log at start, the admissions from the coordinator.

use std::collections::HashMap;

use crate::record::batch::Header;
use crate::ids::{Offset, Producer, ProducerId};
use crate::storage::journal::Fields;
use crate::record::control_batch::{self, Outcome};

/// The transactions of one partition.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    open: HashMap<ProducerId, Open>,
    /// In the order of `last`.
    aborted: Vec<Aborted>,
}

#[derive(Clone, Debug)]
struct Open {
    epoch: i16,
    /// Whether the coordinator has it open too, so that more may come.
    admitted: bool,
    /// The first record, once there is one.
    first: Option<Offset>,
}

/// Records that a reader of committed ones passes over: those of `producer` from `first` on, up to the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer: ProducerId,
    /// The offset of its first record.
    pub first: Offset,
    /// The offset of the marker.
    pub last: Offset,
}

/// Why a batch does not belong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// A newer producer has a transaction here.
    #[error("producer epoch {got} is older than {current}")]
    StaleEpoch {
        /// Of the batch.
        got: i16,
        /// Of the open transaction.
        current: i16,
    },
    /// A transactional batch outside a transaction, or another one inside.
    #[error("the partition is not in a transaction of the producer, or the batch is not")]
    NotOpen,
}

impl Transactions {
    /// From now on batches of this producer's transaction may come.
    pub fn admit(&mut self, producer: Producer) {
        let first = self.open.get(&producer.id).and_then(|open| open.first);
        let open = Open {
            epoch: producer.epoch,
            admitted: true,
            first,
        };
        self.open.insert(producer.id, open);
    }

    /// Whether a batch is where it should be; changes nothing.
    pub fn judge(&self, batch: &Header) -> Result<(), Outside> {
        let Some(producer) = batch.producer() else {
            return Ok(());
        };
        match self.open.get(&producer.id).filter(|open| open.admitted) {
            Some(open) if producer.epoch < open.epoch => Err(Outside::StaleEpoch {
                got: producer.epoch,
                current: open.epoch,
            }),
            open => {
                let fits = open.is_some_and(|open| open.epoch == producer.epoch);
                match batch.is_transactional() == fits {
                    true => Ok(()),
                    false => Err(Outside::NotOpen),
                }
            }
        }
    }

    /// Takes note of a batch that was stored at `base_offset`; `bytes` are needed of a control batch only.
    pub fn remember(&mut self, batch: &Header, bytes: &[u8], base_offset: Offset) {
        let Some(producer) = batch.producer().filter(|_| batch.is_transactional()) else {
            return;
        };
        if !batch.is_control() {
            let open = self.open.entry(producer.id).or_insert(Open {
                epoch: producer.epoch,
                admitted: false,
                first: None,
            });
            open.first.get_or_insert(base_offset);
        } else if let Some((producer, outcome)) = control_batch::decode(batch, bytes) {
            let first = self.open.remove(&producer.id).and_then(|open| open.first);
            if let (Some(first), Outcome::Abort) = (first, outcome) {
                self.aborted.push(Aborted {
                    producer: producer.id,
                    first,
                    last: base_offset,
                });
            }
        }
    }

    /// Where the first open transaction begins: what lies before is settled.
    pub fn first_open(&self) -> Option<Offset> {
        self.open.values().filter_map(|open| open.first).min()
    }

    /// The aborted stretches that touch the offsets from `from` up to `to`, which is not included.
    pub fn aborted_in(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let after = self.aborted.partition_point(|aborted| aborted.last < from);
        let touching = self.aborted[after..].iter();
        touching
            .filter(|aborted| aborted.first < to)
            .copied()
            .collect()
    }

    /// Producers with records that no marker ended and no coordinator has asked for.
    pub fn orphans(&self) -> Vec<Producer> {
        let orphans = self.open.iter().filter(|(_, open)| !open.admitted);
        orphans
            .map(|(id, open)| Producer {
                id: *id,
                epoch: open.epoch,
            })
            .collect()
    }
}

/// For a snapshot beside the log, so that a start need not walk it: integers little-endian, each list behind its length
/// u32. Admissions are no part of it, for they come from the coordinator.
impl Transactions {
    /// Adds what is open and has records, and what was aborted at or behind `log_start`.
    pub fn put(&self, log_start: Offset, out: &mut Vec<u8>) {
        let open = self.open.iter();
        let open: Vec<_> = open
            .filter_map(|(id, open)| Some((id.0, open.epoch, open.first?.0)))
            .collect();
        out.extend((open.len() as u32).to_le_bytes());
        for (id, epoch, first) in open {
            out.extend(id.to_le_bytes());
            out.extend(epoch.to_le_bytes());
            out.extend(first.to_le_bytes());
        }
        let after = self.aborted.partition_point(|a| a.last < log_start);
        let aborted = &self.aborted[after..];
        out.extend((aborted.len() as u32).to_le_bytes());
        for Aborted {
            producer,
            first,
            last,
        } in aborted
        {
            for field in [producer.0, first.0, last.0] {
                out.extend(field.to_le_bytes());
            }
        }
    }

    /// What [`put`](Transactions::put) added, taken from the front; `None` if it is something else.
    pub fn read(fields: &mut Fields<'_>) -> Option<Transactions> {
        let mut transactions = Transactions::default();
        for _ in 0..fields.u32()? {
            let id = ProducerId(fields.i64()?);
            let open = Open {
                epoch: fields.i16()?,
                admitted: false,
                first: Some(Offset(fields.i64()?)),
            };
            transactions.open.insert(id, open);
        }
        for _ in 0..fields.u32()? {
            transactions.aborted.push(Aborted {
                producer: ProducerId(fields.i64()?),
                first: Offset(fields.i64()?),
                last: Offset(fields.i64()?),
            });
        }
        Some(transactions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::tests::{Sample, sample};

    const P: Producer = Producer {
        id: ProducerId(7),
        epoch: 2,
    };

    fn batch(epoch: i16, transactional: bool) -> Header {
        let bytes = sample(&Sample {
            producer: (P.id.0, epoch, 0),
            transactional,
            ..Sample::default()
        });
        Header::parse(&bytes).unwrap()
    }

    fn end(transactions: &mut Transactions, outcome: Outcome, at: i64) {
        let bytes = control_batch::encode(P, outcome, 0);
        let header = Header::parse(&bytes).unwrap();
        transactions.remember(&header, &bytes, Offset(at));
    }

    #[test]
    fn only_what_was_admitted_gets_in_and_until_its_marker_only() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.judge(&batch(2, false)), Ok(()));
        assert_eq!(transactions.judge(&batch(2, true)), Err(Outside::NotOpen));
        transactions.admit(P);
        assert_eq!(transactions.judge(&batch(2, true)), Ok(()));
        assert_eq!(transactions.judge(&batch(2, false)), Err(Outside::NotOpen));
        assert_eq!(transactions.judge(&batch(3, true)), Err(Outside::NotOpen));
        let stale = transactions.judge(&batch(1, true));
        assert_eq!(stale, Err(Outside::StaleEpoch { got: 1, current: 2 }));
        end(&mut transactions, Outcome::Commit, 5);
        assert_eq!(transactions.judge(&batch(2, true)), Err(Outside::NotOpen));
    }

    #[test]
    fn the_first_record_of_the_first_open_transaction_bounds_what_is_settled() {
        let mut transactions = Transactions::default();
        transactions.admit(P);
        assert_eq!(transactions.first_open(), None);
        transactions.remember(&batch(2, true), &[], Offset(10));
        transactions.remember(&batch(2, true), &[], Offset(11));
        assert_eq!(transactions.first_open(), Some(Offset(10)));
        end(&mut transactions, Outcome::Abort, 12);
        assert_eq!(transactions.first_open(), None);
        let aborted = Aborted {
            producer: P.id,
            first: Offset(10),
            last: Offset(12),
        };
        let within = |from, to| transactions.aborted_in(Offset(from), Offset(to));
        assert_eq!(within(0, 11), [aborted]);
        assert_eq!(within(12, 13), [aborted]);
        assert_eq!((within(0, 10), within(13, 20)), (vec![], vec![]));
    }

    #[test]
    fn a_marker_without_records_aborts_nothing() {
        let mut transactions = Transactions::default();
        transactions.admit(P);
        end(&mut transactions, Outcome::Abort, 0);
        assert!(transactions.aborted_in(Offset(0), Offset(9)).is_empty());
    }

    #[test]
    fn a_snapshot_has_all_but_the_admissions() {
        let mut transactions = Transactions::default();
        transactions.admit(P);
        transactions.remember(&batch(2, true), &[], Offset(1));
        end(&mut transactions, Outcome::Abort, 2);
        transactions.admit(P);
        transactions.remember(&batch(2, true), &[], Offset(3));
        let mut bytes = Vec::new();
        transactions.put(Offset(2), &mut bytes);
        let again = Transactions::read(&mut Fields(&bytes)).unwrap();
        assert_eq!(again.first_open(), Some(Offset(3)));
        assert_eq!(again.orphans(), [P]);
        let all = |t: &Transactions| t.aborted_in(Offset(0), Offset(9));
        assert_eq!(all(&again), all(&transactions));
        for cut in 0..bytes.len() {
            assert!(Transactions::read(&mut Fields(&bytes[..cut])).is_none());
        }
        bytes.clear();
        transactions.put(Offset(3), &mut bytes);
        let trimmed = Transactions::read(&mut Fields(&bytes)).unwrap();
        assert_eq!(all(&trimmed), []);
    }

    #[test]
    fn what_the_log_has_open_is_an_orphan_until_it_is_admitted() {
        let mut transactions = Transactions::default();
        transactions.remember(&batch(2, true), &[], Offset(3));
        assert_eq!(transactions.orphans(), [P]);
        assert_eq!(transactions.judge(&batch(2, true)), Err(Outside::NotOpen));
        transactions.admit(P);
        assert_eq!(transactions.orphans(), []);
        assert_eq!(transactions.first_open(), Some(Offset(3)));
    }
}
