//! Batches built byte by byte, which no client library would send.

use bytes::{Bytes, BytesMut};
use eventos_testkit::raw::now;
use kafka_protocol::{
    indexmap::IndexMap,
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};

/// A batch of records without a producer id, unless one is set. The values are "0", "1" and so on.
#[derive(Clone)]
pub(super) struct Batch {
    count: i32,
    producer: (i64, i16),
    sequence: i32,
    transactional: bool,
    timestamp: i64,
    key: Option<&'static str>,
}

impl Batch {
    /// Returns a batch of `count` records of a producer that is not idempotent.
    pub(super) fn of(count: i32) -> Self {
        Self {
            count,
            producer: (-1, -1),
            sequence: -1,
            transactional: false,
            timestamp: now(),
            key: Some("k"),
        }
    }

    /// Sets the producer id, its epoch, and the sequence number of the first record.
    pub(super) fn from(self, id: i64, epoch: i16, sequence: i32) -> Self {
        Self {
            producer: (id, epoch),
            sequence,
            ..self
        }
    }

    /// Makes the batch part of a transaction.
    pub(super) fn transactional(self) -> Self {
        Self {
            transactional: true,
            ..self
        }
    }

    /// Sets the timestamp of every record.
    pub(super) fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    /// Removes the keys of the records.
    pub(super) fn without_keys(self) -> Self {
        Self { key: None, ..self }
    }

    /// Returns the bytes of the batch in a produce request.
    pub(super) fn bytes(&self) -> Bytes {
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
