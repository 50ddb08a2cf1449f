//! Checks batches against the settings of their topic before they are stored (Kafka's `LogValidator`).
//!
//! The cost is one pass over the records, which skips keys and values, and decompresses compressed batches as it goes.

use std::ops::ControlFlow;

use super::{
    config::{LogConfig, Timestamps},
    partition_log::AppendError,
};
use crate::record::{
    batch::{NO_TIMESTAMP, RecordBatchHeader},
    compression::MAX_DECOMPRESSED,
    record_reader::{self, RecordInfo},
};

/// How many times `max.message.bytes` the records of a compressed batch may take when they are decompressed, as long as
/// that does not exceed [`MAX_DECOMPRESSED`]. Kafka has no such limit.
pub(crate) const MAX_INFLATION: usize = 100;

/// The largest number of records that an error lists. Clients send the others again, as they do after any error of a batch.
const MAX_LISTED: usize = 10_000;

/// The records for which a batch is refused.
#[derive(Debug)]
pub(crate) struct RefusedRecords {
    /// The first of these records, at most 10,000, each with its index in the batch.
    pub(crate) records: Vec<(i32, RecordFault)>,
    /// Whether a timestamp is among the reasons, which decides the error code as in Kafka.
    pub(crate) has_timestamp: bool,
}

/// The reason why a topic does not accept a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordFault {
    /// The topic is compacted, and the record has no key.
    #[error("a compacted topic accepts no records without a key")]
    NoKey,
    /// The timestamp is further from the clock of the broker than the topic allows.
    #[error("timestamp {timestamp} is not between {earliest} and {latest}")]
    Timestamp {
        /// The timestamp (ms).
        timestamp: i64,
        /// The earliest timestamp allowed (ms).
        earliest: i64,
        /// The latest timestamp allowed (ms).
        latest: i64,
    },
    /// The producer has marked the timestamp as that of the broker.
    #[error("a producer cannot set LogAppendTime")]
    AppendTime,
}

/// Checks whether a topic with these settings accepts the batch at `now` (ms); returns the largest timestamp of its
/// records, or [`NO_TIMESTAMP`] if they have none.
pub(crate) fn check(
    config: &LogConfig,
    header: &RecordBatchHeader,
    batch: &[u8],
    now: i64,
) -> Result<i64, AppendError> {
    if header.size > config.max_batch_bytes {
        return Err(AppendError::TooLarge {
            size: header.size,
            max: config.max_batch_bytes,
        });
    }
    let mut check = RecordCheck::new(config, header, now);
    let max_inflated = config.max_batch_bytes.saturating_mul(MAX_INFLATION);
    let max_inflated = max_inflated.min(MAX_DECOMPRESSED);
    record_reader::read_all(header, batch, max_inflated, |record| check.add(record))
        .map_err(AppendError::Unreadable)?;
    check.finish()
}

/// A check of the records of one batch.
struct RecordCheck<'a> {
    header: &'a RecordBatchHeader,
    needs_keys: bool,
    /// The earliest and the latest timestamp allowed, if the producer sets the timestamps.
    allowed: Option<(i64, i64)>,
    /// The index of the next record.
    next: i32,
    /// Whether each record had the offset that follows from its index.
    in_order: bool,
    max_timestamp: i64,
    refused: RefusedRecords,
}

impl<'a> RecordCheck<'a> {
    fn new(config: &LogConfig, header: &'a RecordBatchHeader, now: i64) -> RecordCheck<'a> {
        let allowed = || {
            let earliest = now.saturating_sub(config.timestamp_before_max_ms);
            (earliest, now.saturating_add(config.timestamp_after_max_ms))
        };
        RecordCheck {
            header,
            needs_keys: config.compact,
            allowed: (config.timestamps == Timestamps::CreateTime).then(allowed),
            next: 0,
            in_order: true,
            max_timestamp: NO_TIMESTAMP,
            refused: RefusedRecords {
                records: Vec::new(),
                has_timestamp: false,
            },
        }
    }

    fn add(&mut self, record: RecordInfo) -> ControlFlow<()> {
        self.in_order &= record.offset_delta == self.next;
        let timestamp = record.timestamp(self.header);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if let Some(fault) = self.fault(&record, timestamp) {
            self.refused.has_timestamp |= fault != RecordFault::NoKey;
            if self.refused.records.len() < MAX_LISTED {
                self.refused.records.push((self.next, fault));
            }
        }
        self.next += 1;
        ControlFlow::Continue(())
    }

    /// Returns the first reason to refuse the record, in the order of Kafka.
    fn fault(&self, record: &RecordInfo, timestamp: i64) -> Option<RecordFault> {
        if self.needs_keys && !record.has_key {
            return Some(RecordFault::NoKey);
        }
        match self.allowed {
            Some((earliest, latest)) if timestamp != NO_TIMESTAMP => {
                let is_allowed = (earliest..=latest).contains(&timestamp);
                (!is_allowed).then_some(RecordFault::Timestamp {
                    timestamp,
                    earliest,
                    latest,
                })
            }
            _ => self
                .header
                .is_log_append_time()
                .then_some(RecordFault::AppendTime),
        }
    }

    fn finish(self) -> Result<i64, AppendError> {
        if !self.in_order {
            return Err(AppendError::OffsetDeltas);
        }
        match self.refused.records.is_empty() {
            true => Ok(self.max_timestamp),
            false => Err(AppendError::Records(self.refused)),
        }
    }
}

impl std::fmt::Display for RefusedRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.records.len();
        match self.records.first() {
            Some((index, fault)) => write!(
                f,
                "{count} records are refused, first record {index}: {fault}"
            ),
            None => write!(f, "no record is refused"),
        }
    }
}

#[cfg(test)]
mod tests;
