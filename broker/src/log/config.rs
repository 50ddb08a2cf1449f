//! How one log keeps its records: what the topic's settings mean to the files below it.

/// The settings of a log; the names in brackets are Kafka's for the same thing.
///
/// The defaults are Kafka's, but that nothing is thrown away unless it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A segment that holds this many bytes is closed and a new one begun (`segment.bytes`). Default 64 MiB.
    pub segment_bytes: u64,
    /// So is one whose first record is this much older than the next, ms (`segment.ms`). Default 7 days.
    pub segment_ms: i64,
    /// Whether old segments are removed (`cleanup.policy` has `delete`). Default true.
    pub delete: bool,
    /// Whether only the newest record of each key is kept (`cleanup.policy` has `compact`). Default false.
    pub compact: bool,
    /// How old the newest record of a segment may grow, ms (`retention.ms`). Default `None`: without end.
    pub retention_ms: Option<i64>,
    /// How many bytes the segments may hold together (`retention.bytes`). Default `None`: without end.
    pub retention_bytes: Option<u64>,
    /// The largest batch, bytes as they come (`max.message.bytes`). Default 10 MiB.
    pub max_batch_bytes: usize,
    /// Whose clock stamps the records (`message.timestamp.type`). Default the producer's.
    pub timestamps: Timestamps,
    /// How far behind this machine's clock a producer's timestamp may be, ms (`message.timestamp.before.max.ms`).
    /// Default without end.
    pub timestamp_before_max_ms: i64,
    /// How far ahead of it (`message.timestamp.after.max.ms`). Default an hour.
    pub timestamp_after_max_ms: i64,
    /// How long compaction leaves a tombstone after it met it, ms (`delete.retention.ms`). Default a day.
    pub delete_retention_ms: i64,
    /// How long compaction leaves a record alone, ms (`min.compaction.lag.ms`). Default 0.
    pub min_compaction_lag_ms: i64,
    /// After how long it takes it up however little there is to do, ms (`max.compaction.lag.ms`). Default never.
    pub max_compaction_lag_ms: i64,
    /// The share of bytes not yet compacted at which it begins (`min.cleanable.dirty.ratio`). Default 0.5.
    pub min_dirty_ratio: f64,
}

/// Whose clock stamps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// The producer's, which the records say.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
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
