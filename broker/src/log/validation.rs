//! What a topic's settings ask of a batch before it may be stored (Kafka's `LogValidator`).

use super::partition_log::AppendError;
use super::config::{Settings, Timestamps};
use crate::record::batch::Header;
use crate::record::records;

/// Whether a topic with these settings takes the batch at `now` (ms).
///
/// Only for a compacted topic are the records looked at, for their keys; all else the header tells.
pub fn check(
    settings: &Settings,
    header: &Header,
    batch: &[u8],
    now: i64,
) -> Result<(), AppendError> {
    if header.size > settings.max_batch_bytes {
        return Err(AppendError::TooLarge {
            size: header.size,
            max: settings.max_batch_bytes,
        });
    }
    if settings.timestamps == Timestamps::CreateTime {
        check_times(settings, header, now)?;
    }
    if settings.compact {
        let records = records::unfold(header, batch).map_err(AppendError::Unreadable)?;
        let without = (0..).zip(records::iterate(&records));
        let without = without.filter(|(_, record)| !record.has_key());
        let records: Vec<i32> = without.map(|(i, _)| i).collect();
        if !records.is_empty() {
            return Err(AppendError::NoKey { records });
        }
    }
    Ok(())
}

/// Timestamps below zero say that there is none.
fn check_times(settings: &Settings, header: &Header, now: i64) -> Result<(), AppendError> {
    let earliest = now.saturating_sub(settings.timestamp_before_max_ms);
    let latest = now.saturating_add(settings.timestamp_after_max_ms);
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
