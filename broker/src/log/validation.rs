//! Checks batches against the settings of their topic before they are stored (Kafka's `LogValidator`).

use super::{
    config::{LogConfig, Timestamps},
    partition_log::AppendError,
};
use crate::record::{batch::RecordBatchHeader, records};

/// Checks whether a topic with these settings accepts the batch at `now` (ms).
///
/// The header is enough for this, except that a compacted topic has to look at the keys of the records.
pub(crate) fn check(
    config: &LogConfig,
    header: &RecordBatchHeader,
    batch: &[u8],
    now: i64,
) -> Result<(), AppendError> {
    if header.size > config.max_batch_bytes {
        return Err(AppendError::TooLarge {
            size: header.size,
            max: config.max_batch_bytes,
        });
    }
    if config.timestamps == Timestamps::CreateTime {
        check_times(config, header, now)?;
    }
    if config.compact {
        let records = records::decompress(header, batch).map_err(AppendError::Unreadable)?;
        let without = (0..).zip(records::iter(&records));
        let without = without.filter(|(_, record)| !record.has_key());
        let records: Vec<i32> = without.map(|(i, _)| i).collect();
        if !records.is_empty() {
            return Err(AppendError::NoKey { records });
        }
    }
    Ok(())
}

/// Checks the timestamps of a batch; a negative one means that there is none.
fn check_times(
    config: &LogConfig,
    header: &RecordBatchHeader,
    now: i64,
) -> Result<(), AppendError> {
    let earliest = now.saturating_sub(config.timestamp_before_max_ms);
    let latest = now.saturating_add(config.timestamp_after_max_ms);
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if timestamp >= 0 && !(earliest..=latest).contains(&timestamp) {
            return Err(AppendError::Timestamp {
                timestamp,
                earliest,
                latest,
            });
        }
    }
    Ok(())
}
