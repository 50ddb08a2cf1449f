//! Control batches: the records by which a coordinator ends a transaction in a partition.
//!
//! A marker is a batch of one record, transactional and control (Kafka's `EndTransactionMarker` and `ControlRecordType`,
//! KIP-98). Its key is a version i16 and a type i16, its value a version i16 and the coordinator's epoch i32, which on
//! a single node is always 0.

use crate::record::batch::{self, HEADER_LEN, Header, LENGTH_PREFIX, MAGIC};
use crate::ids::Producer;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

const TRANSACTIONAL_CONTROL: i16 = 0b11_0000;
const ABORT: u8 = 0;
const COMMIT: u8 = 1;
/// Length 16, no attributes, both deltas 0; a key of 4 bytes, a value of 6; no headers. All varints of one byte.
const RECORD: [u8; 17] = [32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0];
const TYPE_AT: usize = HEADER_LEN + 8;

/// The batch that ends a transaction of `producer` at `timestamp` (ms); the log gives it an offset.
pub fn encode(producer: Producer, outcome: Outcome, timestamp: i64) -> Vec<u8> {
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
    batch.extend(producer.id.0.to_be_bytes());
    batch.extend(producer.epoch.to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.extend(1i32.to_be_bytes());
    batch.extend(RECORD);
    batch[TYPE_AT] = match outcome {
        Outcome::Abort => ABORT,
        Outcome::Commit => COMMIT,
    };
    batch::seal(&mut batch);
    batch
}

/// What a stored batch ends, if it is a marker. A control record of another kind ends nothing.
pub fn decode(header: &Header, batch: &[u8]) -> Option<(Producer, Outcome)> {
    if !header.is_control() || !header.is_transactional() {
        return None;
    }
    let outcome = match batch.get(TYPE_AT - 1..=TYPE_AT)? {
        [0, ABORT] => Outcome::Abort,
        [0, COMMIT] => Outcome::Commit,
        _ => return None,
    };
    Some((header.producer()?, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch;
    use crate::ids::{Offset, ProducerId};
    use crate::record::records;

    #[test]
    fn a_marker_is_a_valid_batch_and_reads_back() {
        let producer = Producer {
            id: ProducerId(77),
            epoch: 3,
        };
        for outcome in [Outcome::Commit, Outcome::Abort] {
            let bytes = encode(producer, outcome, 1_234);
            let header = batch::verify(&bytes).unwrap();
            assert_eq!(decode(&header, &bytes), Some((producer, outcome)));
            assert_eq!((header.count, header.base_sequence), (1, -1));
            let stamps: Vec<_> = records::stamps(&header, &bytes[HEADER_LEN..]).collect();
            assert_eq!(stamps, [(1_234, Offset(0))]);
        }
    }

    #[test]
    fn an_ordinary_batch_is_no_marker() {
        let bytes = batch::tests::sample(&batch::tests::Sample::default());
        let header = batch::verify(&bytes).unwrap();
        assert_eq!(decode(&header, &bytes), None);
    }
}
