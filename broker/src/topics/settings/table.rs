//! All settings that a topic can have: name, range, documentation and effect of each.
//!
//! Names and ranges are those of Kafka 4.3 (`LogConfig`, `TopicConfig`), defaults those of
//! [`LogConfig`](crate::log::LogConfig). The settings of Kafka that are not here are refused with a reason; none is
//! accepted and then ignored. Some have no effect: they tune parts that this broker does not have, or are limits that it
//! never reaches.

use std::ops::RangeInclusive;

use super::{
    SettingError,
    rule::{
        ANY, Rule, Setting,
        SettingKind::{self, Int, Long},
    },
};
use crate::log::Timestamps;

const NOT_NEGATIVE: RangeInclusive<i64> = 0..=i64::MAX;
const POSITIVE: RangeInclusive<i64> = 1..=i64::MAX;
const INT_MAX: i64 = i32::MAX as i64;
const NEVER: &str = "9223372036854775807";
const FLUSHED_ALIKE: &str = "the broker flushes all topics alike, as its own setting flush says";

static TABLE: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        broker_name: Some("log.cleanup.policy"),
        documentation: "What happens to old records: \"delete\" removes segments beyond retention.ms or \
            retention.bytes, \"compact\" keeps only the newest record of each key, \"compact,delete\" does both, and \
            an empty value keeps everything.",
        rule: Rule::Policy,
    },
    Setting {
        name: "compression.type",
        broker_name: Some("compression.type"),
        documentation: "Always \"producer\": batches are stored as producers send them.",
        rule: Rule::Only {
            kind: SettingKind::Text,
            value: "producer",
            why: "batches are stored as producers send them; set compression.type at the producer",
        },
    },
    Setting {
        name: "delete.retention.ms",
        broker_name: Some("log.cleaner.delete.retention.ms"),
        documentation: "How long, in ms, a record without a value stays after the first compaction that finds it, so \
            that a consumer that reads from the beginning sees the deletion.",
        rule: Rule::Number {
            kind: Long,
            range: NOT_NEGATIVE,
            get: |values| values.log.delete_retention_ms,
            set: |values, ms| values.log.delete_retention_ms = ms,
        },
    },
    Setting {
        name: "file.delete.delay.ms",
        broker_name: Some("log.segment.delete.delay.ms"),
        documentation: "No effect: a segment is removed as soon as it is no longer part of the log, and those who \
            are reading it can go on.",
        rule: Rule::NumberHint {
            kind: Long,
            range: NOT_NEGATIVE,
            default: 60_000,
        },
    },
    Setting {
        name: "flush.messages",
        broker_name: Some("log.flush.interval.messages"),
        documentation: "Always unlimited: the broker has its own setting for when data is synced to disk.",
        rule: Rule::Only {
            kind: Long,
            value: NEVER,
            why: FLUSHED_ALIKE,
        },
    },
    Setting {
        name: "flush.ms",
        broker_name: None,
        documentation: "Always unlimited: the broker has its own setting for when data is synced to disk.",
        rule: Rule::Only {
            kind: Long,
            value: NEVER,
            why: FLUSHED_ALIKE,
        },
    },
    Setting {
        name: "index.interval.bytes",
        broker_name: Some("log.index.interval.bytes"),
        documentation: "No effect: the density of the index changes no result.",
        rule: Rule::NumberHint {
            kind: Int,
            range: 0..=INT_MAX,
            default: 4_096,
        },
    },
    Setting {
        name: "max.compaction.lag.ms",
        broker_name: Some("log.cleaner.max.compaction.lag.ms"),
        documentation: "The age, in ms, at which a record is compacted even if there is little to compact.",
        rule: Rule::Number {
            kind: Long,
            range: POSITIVE,
            get: |values| values.log.max_compaction_lag_ms,
            set: |values, ms| values.log.max_compaction_lag_ms = ms,
        },
    },
    Setting {
        name: "max.message.bytes",
        broker_name: Some("message.max.bytes"),
        documentation: "The size of the largest batch that is accepted, in bytes and compressed if it is. The records of \
            a compressed batch may take 100 times as much when they are decompressed, up to 128 MiB.",
        rule: Rule::Number {
            kind: Int,
            range: 0..=INT_MAX,
            get: |values| values.log.max_batch_bytes as i64,
            set: |values, bytes| values.log.max_batch_bytes = bytes as usize,
        },
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        broker_name: Some("log.message.timestamp.after.max.ms"),
        documentation: "How far, in ms, the timestamp of a record may be ahead of the clock of the broker. No effect \
            with LogAppendTime.",
        rule: Rule::Number {
            kind: Long,
            range: NOT_NEGATIVE,
            get: |values| values.log.timestamp_after_max_ms,
            set: |values, ms| values.log.timestamp_after_max_ms = ms,
        },
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        broker_name: Some("log.message.timestamp.before.max.ms"),
        documentation: "How far, in ms, the timestamp of a record may be behind the clock of the broker. No effect \
            with LogAppendTime.",
        rule: Rule::Number {
            kind: Long,
            range: NOT_NEGATIVE,
            get: |values| values.log.timestamp_before_max_ms,
            set: |values, ms| values.log.timestamp_before_max_ms = ms,
        },
    },
    Setting {
        name: "message.timestamp.type",
        broker_name: Some("log.message.timestamp.type"),
        documentation: "Who sets the timestamps of records: the producer (\"CreateTime\"), or the broker as it \
            stores them (\"LogAppendTime\").",
        rule: Rule::Word {
            words: &["CreateTime", "LogAppendTime"],
            get: |values| match values.log.timestamps {
                Timestamps::CreateTime => "CreateTime",
                Timestamps::LogAppendTime => "LogAppendTime",
            },
            set: |values, word| {
                values.log.timestamps = match word {
                    "LogAppendTime" => Timestamps::LogAppendTime,
                    _ => Timestamps::CreateTime,
                }
            },
        },
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        broker_name: Some("log.cleaner.min.cleanable.ratio"),
        documentation: "The share of bytes that are not compacted yet, from 0 to 1, at which compaction begins.",
        rule: Rule::Ratio {
            get: |values| values.log.min_dirty_ratio,
            set: |values, ratio| values.log.min_dirty_ratio = ratio,
        },
    },
    Setting {
        name: "min.compaction.lag.ms",
        broker_name: Some("log.cleaner.min.compaction.lag.ms"),
        documentation: "The age, in ms, below which a record is not compacted.",
        rule: Rule::Number {
            kind: Long,
            range: NOT_NEGATIVE,
            get: |values| values.log.min_compaction_lag_ms,
            set: |values, ms| values.log.min_compaction_lag_ms = ms,
        },
    },
    Setting {
        name: "min.insync.replicas",
        broker_name: Some("min.insync.replicas"),
        documentation: "The number of nodes that must have a batch before a producer with acks=all gets its \
            acknowledgement. There is only one node, so a topic with a larger value refuses such batches.",
        rule: Rule::Number {
            kind: Int,
            range: 1..=INT_MAX,
            get: |values| i64::from(values.min_insync_replicas),
            set: |values, nodes| values.min_insync_replicas = nodes as i32,
        },
    },
    Setting {
        name: "preallocate",
        broker_name: Some("log.preallocate"),
        documentation: "No effect: files grow as they are written.",
        rule: Rule::BooleanHint,
    },
    Setting {
        name: "remote.storage.enable",
        broker_name: None,
        documentation: "Always false: there is no tiered storage.",
        rule: Rule::Only {
            kind: SettingKind::Boolean,
            value: "false",
            why: TIERED,
        },
    },
    Setting {
        name: "retention.bytes",
        broker_name: Some("log.retention.bytes"),
        documentation: "The size of a partition, in bytes, above which its oldest segments are removed, if \
            cleanup.policy has \"delete\". -1 means no limit.",
        rule: Rule::Number {
            kind: Long,
            range: ANY,
            get: |values| values.log.retention_bytes.map_or(-1, |bytes| bytes as i64),
            set: |values, bytes| values.log.retention_bytes = u64::try_from(bytes).ok(),
        },
    },
    Setting {
        name: "retention.ms",
        broker_name: Some("log.retention.ms"),
        documentation: "The age of its newest record, in ms, at which a segment is removed, if cleanup.policy has \
            \"delete\". -1 means no limit.",
        rule: Rule::Number {
            kind: Long,
            range: -1..=i64::MAX,
            get: |values| values.log.retention_ms.unwrap_or(-1),
            set: |values, ms| values.log.retention_ms = (ms >= 0).then_some(ms),
        },
    },
    Setting {
        name: "segment.bytes",
        broker_name: Some("log.segment.bytes"),
        documentation: "The size, in bytes, at which a segment is closed and a new one begins. Only closed segments \
            are removed and compacted.",
        rule: Rule::Number {
            kind: Int,
            range: 1 << 20..=INT_MAX,
            get: |values| values.log.segment_bytes as i64,
            set: |values, bytes| values.log.segment_bytes = bytes as u64,
        },
    },
    Setting {
        name: "segment.index.bytes",
        broker_name: Some("log.index.size.max.bytes"),
        documentation: "No effect: an index is as large as its segment needs.",
        rule: Rule::NumberHint {
            kind: Int,
            range: 4..=INT_MAX,
            default: 10 << 20,
        },
    },
    Setting {
        name: "segment.jitter.ms",
        broker_name: None,
        documentation: "No effect: it limits by how much segments may be closed early, and none is.",
        rule: Rule::NumberHint {
            kind: Long,
            range: NOT_NEGATIVE,
            default: 0,
        },
    },
    Setting {
        name: "segment.ms",
        broker_name: Some("log.roll.ms"),
        documentation: "The age, in ms, at which a segment is closed and a new one begins.",
        rule: Rule::Number {
            kind: Long,
            range: POSITIVE,
            get: |values| values.log.segment_ms,
            set: |values, ms| values.log.segment_ms = ms,
        },
    },
    Setting {
        name: "unclean.leader.election.enable",
        broker_name: Some("unclean.leader.election.enable"),
        documentation: "No effect: a single node holds no elections.",
        rule: Rule::BooleanHint,
    },
];

const TIERED: &str = "there is no tiered storage";
const ONE_NODE: &str = "there is only one node and no replication";
const COMPRESSED_ELSEWHERE: &str = "batches are stored as producers send and compress them";
const REMOVED: &str = "Kafka 4 has removed it";

/// The settings of Kafka that this broker does not support, with the reasons.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("compression.gzip.level", COMPRESSED_ELSEWHERE),
    ("compression.lz4.level", COMPRESSED_ELSEWHERE),
    ("compression.zstd.level", COMPRESSED_ELSEWHERE),
    ("follower.replication.throttled.replicas", ONE_NODE),
    ("leader.replication.throttled.replicas", ONE_NODE),
    ("local.retention.bytes", TIERED),
    ("local.retention.ms", TIERED),
    ("message.downconversion.enable", REMOVED),
    ("message.format.version", REMOVED),
    ("message.timestamp.difference.max.ms", REMOVED),
    ("remote.log.copy.disable", TIERED),
    ("remote.log.delete.on.disable", TIERED),
];

/// The similarity with a known name, from 0 to 1, at which an unknown name counts as a typing error.
const NEAR: f64 = 0.7;
/// Longer names are not compared with the known ones.
const LONG_NAME: usize = 100;

/// Returns all settings, ordered by name.
pub(crate) fn all() -> &'static [Setting] {
    TABLE
}

/// Returns the setting with a name.
pub(super) fn find(name: &str) -> Result<&'static Setting, SettingError> {
    if let Some(setting) = TABLE.iter().find(|setting| setting.name == name) {
        return Ok(setting);
    }
    if let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        return Err(SettingError::Unsupported {
            name: name.to_owned(),
            why,
        });
    }
    let likeness = |known| strsim::normalized_damerau_levenshtein(name, known);
    let nearest = TABLE
        .iter()
        .filter(|_| name.len() < LONG_NAME)
        .map(|setting| (likeness(setting.name), setting.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= NEAR);
    Err(SettingError::Unknown {
        name: name.to_owned(),
        nearest: nearest.map(|(_, name)| name),
    })
}
