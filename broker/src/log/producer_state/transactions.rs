//! The transactions in one partition: which are open, and which were aborted.
//!
//! The coordinator decides who may have a transaction and admits it here; this module only lets batches of admitted
//! transactions in. (The rules are those of Kafka's `ProducerStateManager`. That the partition itself knows the admitted
//! transactions closes the gap that KIP-890 describes.) At start, the aborted transactions and the open ones with records
//! come from the log, and the admissions from the coordinator.

use std::collections::HashMap;

use crate::{
    ids::{Offset, Producer, ProducerId},
    record::{
        batch::RecordBatchHeader,
        control_batch::{ControlBatch, Outcome},
    },
    storage::journal::FieldReader,
};

/// The transactions of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionTransactions {
    open: HashMap<ProducerId, OpenTransaction>,
    /// The aborted transactions, in the order of `last`.
    aborted: Vec<AbortedTxn>,
}

/// A transaction that has not ended.
#[derive(Clone, Debug)]
struct OpenTransaction {
    epoch: i16,
    /// Whether the coordinator has admitted it, so that more batches may follow.
    admitted: bool,
    /// The offset of its first record, once there is one.
    first: Option<Offset>,
}

/// An aborted transaction: a read_committed consumer skips the records of `producer` from `first` to the control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedTxn {
    /// The producer of the transaction.
    pub(crate) producer: ProducerId,
    /// The offset of its first record.
    pub(crate) first: Offset,
    /// The offset of the control batch that aborts it.
    pub(crate) last: Offset,
}

/// The reason why a batch does not fit the transactions of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionMismatch {
    /// A newer producer with the same id has an open transaction.
    #[error("producer epoch {got} is older than the current epoch {current}")]
    StaleEpoch {
        /// The epoch of the batch.
        got: i16,
        /// The epoch of the open transaction.
        current: i16,
    },
    /// A transactional batch without an open transaction, or a plain batch within one.
    #[error(
        "the partition has no open transaction of the producer, or the batch is not part of it"
    )]
    NotOpen,
}

impl PartitionTransactions {
    /// Accepts batches of a transaction of this producer from now on.
    pub(crate) fn admit(&mut self, producer: Producer) {
        let first = self.open.get(&producer.id).and_then(|open| open.first);
        let open = OpenTransaction {
            epoch: producer.epoch,
            admitted: true,
            first,
        };
        self.open.insert(producer.id, open);
    }

    /// Checks whether a batch fits the open transactions, without changing anything.
    pub(crate) fn check(&self, batch: &RecordBatchHeader) -> Result<(), TransactionMismatch> {
        let Some(producer) = batch.producer() else {
            return Ok(());
        };
        match self.open.get(&producer.id).filter(|open| open.admitted) {
            Some(open) if producer.epoch < open.epoch => Err(TransactionMismatch::StaleEpoch {
                got: producer.epoch,
                current: open.epoch,
            }),
            open => {
                let fits = open.is_some_and(|open| open.epoch == producer.epoch);
                match batch.is_transactional() == fits {
                    true => Ok(()),
                    false => Err(TransactionMismatch::NotOpen),
                }
            }
        }
    }

    /// Adds a batch that was stored at `base_offset`. Only a control batch needs `bytes`.
    pub(crate) fn update(&mut self, batch: &RecordBatchHeader, bytes: &[u8], base_offset: Offset) {
        let Some(producer) = batch.producer().filter(|_| batch.is_transactional()) else {
            return;
        };
        if !batch.is_control() {
            let open = self.open.entry(producer.id).or_insert(OpenTransaction {
                epoch: producer.epoch,
                admitted: false,
                first: None,
            });
            open.first.get_or_insert(base_offset);
        } else if let Some(ControlBatch { producer, outcome }) = ControlBatch::decode(batch, bytes)
        {
            let first = self.open.remove(&producer.id).and_then(|open| open.first);
            if let (Some(first), Outcome::Abort) = (first, outcome) {
                self.aborted.push(AbortedTxn {
                    producer: producer.id,
                    first,
                    last: base_offset,
                });
            }
        }
    }

    /// Returns the offset of the first record of an open transaction: all transactions before it have ended.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.values().filter_map(|open| open.first).min()
    }

    /// Returns the aborted transactions with offsets from `from` up to, but not including, `to`.
    pub(crate) fn aborted_in(&self, from: Offset, to: Offset) -> Vec<AbortedTxn> {
        let after = self.aborted.partition_point(|aborted| aborted.last < from);
        let touching = self.aborted[after..].iter();
        touching
            .filter(|aborted| aborted.first < to)
            .copied()
            .collect()
    }

    /// Returns the producers whose transaction has records here but was not admitted by the coordinator.
    pub(crate) fn orphans(&self) -> Vec<Producer> {
        let orphans = self.open.iter().filter(|(_, open)| !open.admitted);
        orphans
            .map(|(id, open)| Producer {
                id: *id,
                epoch: open.epoch,
            })
            .collect()
    }
}

/// The encoding of transactions in a checkpoint: integers are little-endian, and each list follows its length u32. The
/// admissions are not part of it, because they come from the coordinator.
impl PartitionTransactions {
    /// Appends the open transactions with records, and those aborted at or after `log_start`.
    pub(crate) fn put(&self, log_start: Offset, out: &mut Vec<u8>) {
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
        for AbortedTxn {
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

    /// Decodes what [`put`](PartitionTransactions::put) appended, or returns `None` if it is something else.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<PartitionTransactions> {
        let mut transactions = PartitionTransactions::default();
        for _ in 0..fields.u32()? {
            let id = ProducerId(fields.i64()?);
            let open = OpenTransaction {
                epoch: fields.i16()?,
                admitted: false,
                first: Some(Offset(fields.i64()?)),
            };
            transactions.open.insert(id, open);
        }
        for _ in 0..fields.u32()? {
            transactions.aborted.push(AbortedTxn {
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

    fn batch(epoch: i16, transactional: bool) -> RecordBatchHeader {
        let bytes = sample(&Sample {
            producer: (P.id.0, epoch, 0),
            transactional,
            ..Sample::default()
        });
        RecordBatchHeader::parse(&bytes).unwrap()
    }

    fn end(transactions: &mut PartitionTransactions, outcome: Outcome, at: i64) {
        let marker = ControlBatch {
            producer: P,
            outcome,
        };
        let bytes = marker.encode(0);
        let header = RecordBatchHeader::parse(&bytes).unwrap();
        transactions.update(&header, &bytes, Offset(at));
    }

    #[test]
    fn only_what_was_admitted_gets_in_and_until_its_marker_only() {
        let mut transactions = PartitionTransactions::default();
        assert_eq!(transactions.check(&batch(2, false)), Ok(()));
        assert_eq!(
            transactions.check(&batch(2, true)),
            Err(TransactionMismatch::NotOpen)
        );
        transactions.admit(P);
        assert_eq!(transactions.check(&batch(2, true)), Ok(()));
        assert_eq!(
            transactions.check(&batch(2, false)),
            Err(TransactionMismatch::NotOpen)
        );
        assert_eq!(
            transactions.check(&batch(3, true)),
            Err(TransactionMismatch::NotOpen)
        );
        let stale = transactions.check(&batch(1, true));
        assert_eq!(
            stale,
            Err(TransactionMismatch::StaleEpoch { got: 1, current: 2 })
        );
        end(&mut transactions, Outcome::Commit, 5);
        assert_eq!(
            transactions.check(&batch(2, true)),
            Err(TransactionMismatch::NotOpen)
        );
    }

    #[test]
    fn the_first_record_of_the_first_open_transaction_bounds_what_is_settled() {
        let mut transactions = PartitionTransactions::default();
        transactions.admit(P);
        assert_eq!(transactions.first_open(), None);
        transactions.update(&batch(2, true), &[], Offset(10));
        transactions.update(&batch(2, true), &[], Offset(11));
        assert_eq!(transactions.first_open(), Some(Offset(10)));
        end(&mut transactions, Outcome::Abort, 12);
        assert_eq!(transactions.first_open(), None);
        let aborted = AbortedTxn {
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
        let mut transactions = PartitionTransactions::default();
        transactions.admit(P);
        end(&mut transactions, Outcome::Abort, 0);
        assert!(transactions.aborted_in(Offset(0), Offset(9)).is_empty());
    }

    #[test]
    fn a_snapshot_has_all_but_the_admissions() {
        let mut transactions = PartitionTransactions::default();
        transactions.admit(P);
        transactions.update(&batch(2, true), &[], Offset(1));
        end(&mut transactions, Outcome::Abort, 2);
        transactions.admit(P);
        transactions.update(&batch(2, true), &[], Offset(3));
        let mut bytes = Vec::new();
        transactions.put(Offset(2), &mut bytes);
        let again = PartitionTransactions::read(&mut FieldReader(&bytes)).unwrap();
        assert_eq!(again.first_open(), Some(Offset(3)));
        assert_eq!(again.orphans(), [P]);
        let all = |t: &PartitionTransactions| t.aborted_in(Offset(0), Offset(9));
        assert_eq!(all(&again), all(&transactions));
        for cut in 0..bytes.len() {
            assert!(PartitionTransactions::read(&mut FieldReader(&bytes[..cut])).is_none());
        }
        bytes.clear();
        transactions.put(Offset(3), &mut bytes);
        let trimmed = PartitionTransactions::read(&mut FieldReader(&bytes)).unwrap();
        assert_eq!(all(&trimmed), []);
    }

    #[test]
    fn what_the_log_has_open_is_an_orphan_until_it_is_admitted() {
        let mut transactions = PartitionTransactions::default();
        transactions.update(&batch(2, true), &[], Offset(3));
        assert_eq!(transactions.orphans(), [P]);
        assert_eq!(
            transactions.check(&batch(2, true)),
            Err(TransactionMismatch::NotOpen)
        );
        transactions.admit(P);
        assert_eq!(transactions.orphans(), []);
        assert_eq!(transactions.first_open(), Some(Offset(3)));
    }
}
