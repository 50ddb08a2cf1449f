//! Control batches, with which a coordinator ends a transaction in a partition.

use crate::{
    ids::Producer,
    record::batch::{self, HEADER_LEN, LENGTH_PREFIX, MAGIC, RecordBatchHeader},
};

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// Its records and offsets become visible.
    Commit,
    /// Its records and offsets are discarded.
    Abort,
}

/// A marker that ends the transaction of a producer in one partition.
///
/// On disk it is a batch of one record, transactional and control (Kafka's `EndTransactionMarker` and
/// `ControlRecordType`, KIP-98). Its key is a version i16 and a type i16, its value a version i16 and the epoch of the
/// coordinator i32, which is always 0 on a single node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlBatch {
    /// The producer whose transaction ends.
    pub(crate) producer: Producer,
    /// How the transaction ends.
    pub(crate) outcome: Outcome,
}

const TRANSACTIONAL_CONTROL: i16 = 0b11_0000;
const ABORT: u8 = 0;
const COMMIT: u8 = 1;
/// Length 16, no attributes, both deltas 0; a key of 4 bytes, a value of 6; no headers. Each varint takes one byte.
const RECORD: [u8; 17] = [32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0];
/// Position of the low byte of the type in the key.
const TYPE_POSITION: usize = HEADER_LEN + 8;

impl ControlBatch {
    /// Encodes the batch with a timestamp (ms). The log assigns its offset.
    pub(crate) fn encode(self, timestamp: i64) -> Vec<u8> {
        let mut batch = Vec::with_capacity(HEADER_LEN + RECORD.len());
        batch.extend(0i64.to_be_bytes());
        batch.extend(((HEADER_LEN - LENGTH_PREFIX + RECORD.len()) as i32).to_be_bytes());
        batch.extend(0i32.to_be_bytes());
        batch.push(MAGIC as u8);
        batch.extend([0; 4]);
        batch.extend(TRANSACTIONAL_CONTROL.to_be_bytes());
        batch.extend(0i32.to_be_bytes());
        batch.extend(timestamp.to_be_bytes());
        batch.extend(timestamp.to_be_bytes());
        batch.extend(self.producer.id.0.to_be_bytes());
        batch.extend(self.producer.epoch.to_be_bytes());
        batch.extend((-1i32).to_be_bytes());
        batch.extend(1i32.to_be_bytes());
        batch.extend(RECORD);
        batch[TYPE_POSITION] = match self.outcome {
            Outcome::Abort => ABORT,
            Outcome::Commit => COMMIT,
        };
        batch::write_crc(&mut batch);
        batch
    }

    /// Decodes a stored batch, or returns `None` if it is not a control batch that ends a transaction.
    pub(crate) fn decode(header: &RecordBatchHeader, batch: &[u8]) -> Option<Self> {
        if !header.is_control() || !header.is_transactional() {
            return None;
        }
        let outcome = match batch.get(TYPE_POSITION - 1..=TYPE_POSITION)? {
            [0, ABORT] => Outcome::Abort,
            [0, COMMIT] => Outcome::Commit,
            _ => return None,
        };
        Some(Self {
            producer: header.producer()?,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::ProducerId, record::record_reader};
    use std::ops::ControlFlow;

    #[test]
    fn a_marker_is_a_valid_batch_and_reads_back() {
        let producer = Producer {
            id: ProducerId(77),
            epoch: 3,
        };
        for outcome in [Outcome::Commit, Outcome::Abort] {
            let marker = ControlBatch { producer, outcome };
            let bytes = marker.encode(1_234);
            let header = batch::verify(&bytes).unwrap();
            assert_eq!(ControlBatch::decode(&header, &bytes), Some(marker));
            assert_eq!((header.count, header.base_sequence), (1, -1));
            let mut found = Vec::new();
            record_reader::read_all(&header, &bytes, usize::MAX, |record| {
                found.push((record.timestamp(&header), record.offset_delta));
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(found, [(1_234, 0)]);
        }
    }

    #[test]
    fn an_ordinary_batch_is_no_marker() {
        let bytes = batch::tests::sample(&batch::tests::Sample::default());
        let header = batch::verify(&bytes).unwrap();
        assert_eq!(ControlBatch::decode(&header, &bytes), None);
    }
}
