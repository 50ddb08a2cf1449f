//! The settings of a log, which follow from those of its topic.

/// The settings of a log; the names in brackets are those of Kafka.
///
/// The defaults are those of Kafka, except that nothing is deleted by default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogConfig {
    /// The size at which a segment is closed and a new one begins, in bytes (`segment.bytes`). Default 64 MiB.
    pub(crate) segment_bytes: u64,
    /// The age at which a segment is closed and a new one begins, ms (`segment.ms`). Default 7 days.
    pub(crate) segment_ms: i64,
    /// Whether old segments are removed (`cleanup.policy` has `delete`). Default true.
    pub(crate) delete: bool,
    /// Whether only the newest record of each key is kept (`cleanup.policy` has `compact`). Default false.
    pub(crate) compact: bool,
    /// The age of its newest record at which a segment is removed, ms (`retention.ms`). Default `None`: no limit.
    pub(crate) retention_ms: Option<i64>,
    /// The size of the log above which segments are removed, in bytes (`retention.bytes`). Default `None`: no limit.
    pub(crate) retention_bytes: Option<u64>,
    /// The largest batch, in bytes and compressed if it is (`max.message.bytes`). Default 10 MiB.
    pub(crate) max_batch_bytes: usize,
    /// The origin of the timestamps (`message.timestamp.type`). Default: the producer.
    pub(crate) timestamps: Timestamps,
    /// How far a timestamp of a producer may be behind the clock of the broker, ms (`message.timestamp.before.max.ms`).
    /// Default: no limit.
    pub(crate) timestamp_before_max_ms: i64,
    /// How far it may be ahead of that clock, ms (`message.timestamp.after.max.ms`). Default: one hour.
    pub(crate) timestamp_after_max_ms: i64,
    /// How long a tombstone stays after its first cleaning, ms (`delete.retention.ms`). Default: one day.
    pub(crate) delete_retention_ms: i64,
    /// The age below which a record is not cleaned, ms (`min.compaction.lag.ms`). Default 0.
    pub(crate) min_compaction_lag_ms: i64,
    /// The age at which a record is cleaned even if there is little to clean, ms (`max.compaction.lag.ms`). Default: never.
    pub(crate) max_compaction_lag_ms: i64,
    /// The share of bytes that are not cleaned yet at which cleaning begins (`min.cleanable.dirty.ratio`). Default 0.5.
    pub(crate) min_dirty_ratio: f64,
}

/// The origin of the timestamps of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timestamps {
    /// The producer sets them.
    CreateTime,
    /// The broker sets them to the time of the append.
    LogAppendTime,
}

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 64 << 20,
            segment_ms: 7 * DAY_MS,
            delete: true,
            compact: false,
            retention_ms: None,
            retention_bytes: None,
            max_batch_bytes: 10 << 20,
            timestamps: Timestamps::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: HOUR_MS,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_dirty_ratio: 0.5,
        }
    }
}
