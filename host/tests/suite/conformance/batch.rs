//! Batches by the byte, for what no producer of a library would send.

use bytes::{Bytes, BytesMut};
use eventos_testkit::raw::now;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// A batch of records, as a producer has it that may be anyone. Its records are "0", "1" and so on.
#[derive(Clone)]
pub struct Batch {
    count: i32,
    producer: (i64, i16),
    sequence: i32,
    transactional: bool,
    timestamp: i64,
    key: Option<&'static str>,
}

impl Batch {
    /// So many records of a producer that is not idempotent.
    pub fn of(count: i32) -> Self {
        Self {
            count,
            producer: (-1, -1),
            sequence: -1,
            transactional: false,
            timestamp: now(),
            key: Some("k"),
        }
    }

    /// From the producer with this id and epoch, with this sequence number for the first record.
    pub fn from(self, id: i64, epoch: i16, sequence: i32) -> Self {
        Self {
            producer: (id, epoch),
            sequence,
            ..self
        }
    }

    /// As part of a transaction.
    pub fn transactional(self) -> Self {
        Self {
            transactional: true,
            ..self
        }
    }

    /// With this timestamp for every record.
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    /// With records that have no key.
    pub fn without_keys(self) -> Self {
        Self { key: None, ..self }
    }

    /// The bytes that a produce request carries.
    pub fn bytes(&self) -> Bytes {
        let records: Vec<_> = (0..self.count).map(|i| self.record(i)).collect();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        let mut bytes = BytesMut::new();
        let encoded = RecordBatchEncoder::encode(&mut bytes, &records, &options);
        encoded.expect("a batch");
        bytes.freeze()
    }

    fn record(&self, number: i32) -> Record {
        Record {
            transactional: self.transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(number),
            sequence: self.sequence.wrapping_add(number),
            timestamp: self.timestamp,
            key: self.key.map(|key| Bytes::from_static(key.as_bytes())),
            value: Some(number.to_string().into()),
            headers: IndexMap::new(),
        }
    }
}
