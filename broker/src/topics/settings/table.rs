//! Every setting that a topic can have: Kafka's name and range for it, what it says of itself, and what it sets.
//!
//! Names and ranges are those of Kafka 4.3 (`LogConfig`, `TopicConfig`), defaults those of [`log::Settings`]. Settings
//! of Kafka that are not here are refused with the reason; none is taken and then not honoured. Some are honoured
//! by doing nothing: they are hints to a part that this broker does not have, or limits that it never reaches.

use std::ops::RangeInclusive;

use super::SettingError;
use super::rule::Kind::{self, Int, Long};
use super::rule::{ANY, Rule, Setting};
use crate::log::Timestamps;

const NOT_NEGATIVE: RangeInclusive<i64> = 0..=i64::MAX;
const POSITIVE: RangeInclusive<i64> = 1..=i64::MAX;
const INT_MAX: i64 = i32::MAX as i64;
const NEVER: &str = "9223372036854775807";
const FLUSHED_ALIKE: &str = "the broker flushes all topics alike, as its own setting says";

static TABLE: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        broker_name: Some("log.cleanup.policy"),
        documentation: "What becomes of old records: \"delete\" removes segments past retention.ms or \
            retention.bytes, \"compact\" keeps the newest record of each key only, \"compact,delete\" does both, and \
            nothing keeps everything.",
        rule: Rule::Policy,
    },
    Setting {
        name: "compression.type",
        broker_name: Some("compression.type"),
        documentation: "Always \"producer\": batches are stored as they came.",
        rule: Rule::Only {
            kind: Kind::Text,
            value: "producer",
            why: "batches are stored as they came; set compression.type at the producer",
        },
    },
    Setting {
        name: "delete.retention.ms",
        broker_name: Some("log.cleaner.delete.retention.ms"),
        documentation: "How long, in ms, compaction leaves a record without a value after it met it, so that whoever \
            reads from the beginning hears of the deletion.",
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
        documentation: "No effect: a segment that is no part of the log any more is removed at once, and who is \
            reading it reads on.",
        rule: Rule::NumberHint {
            kind: Long,
            range: NOT_NEGATIVE,
            default: 60_000,
        },
    },
    Setting {
        name: "flush.messages",
        broker_name: Some("log.flush.interval.messages"),
        documentation: "Always without end: when files are flushed to the disk is the broker's own setting.",
        rule: Rule::Only {
            kind: Long,
            value: NEVER,
            why: FLUSHED_ALIKE,
        },
    },
    Setting {
        name: "flush.ms",
        broker_name: None,
        documentation: "Always without end: when files are flushed to the disk is the broker's own setting.",
        rule: Rule::Only {
            kind: Long,
            value: NEVER,
            why: FLUSHED_ALIKE,
        },
    },
    Setting {
        name: "index.interval.bytes",
        broker_name: Some("log.index.interval.bytes"),
        documentation: "No effect: how dense the index is changes no answer.",
        rule: Rule::NumberHint {
            kind: Int,
            range: 0..=INT_MAX,
            default: 4_096,
        },
    },
    Setting {
        name: "max.compaction.lag.ms",
        broker_name: Some("log.cleaner.max.compaction.lag.ms"),
        documentation: "After how long, in ms, compaction takes up a record however little else there is to do.",
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
        documentation: "The largest batch that is taken, in bytes as it comes, compressed if it is.",
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
        documentation: "How far, in ms, a record's timestamp may be ahead of the broker's clock. Without effect where \
            the broker stamps.",
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
        documentation: "How far, in ms, a record's timestamp may be behind the broker's clock. Without effect where \
            the broker stamps.",
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
        documentation: "Whose clock stamps the records: the producer's (\"CreateTime\") or the broker's as it stores \
            them (\"LogAppendTime\").",
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
        documentation: "The share of bytes not yet compacted, from 0 to 1, at which compaction begins.",
        rule: Rule::Ratio {
            get: |values| values.log.min_dirty_ratio,
            set: |values, ratio| values.log.min_dirty_ratio = ratio,
        },
    },
    Setting {
        name: "min.compaction.lag.ms",
        broker_name: Some("log.cleaner.min.compaction.lag.ms"),
        documentation: "How long, in ms, compaction leaves a record alone.",
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
        documentation: "How many nodes must have a batch before a producer with acks=all hears of it. There is one \
            node, so a topic that wants more takes no such batch.",
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
            kind: Kind::Boolean,
            value: "false",
            why: TIERED,
        },
    },
    Setting {
        name: "retention.bytes",
        broker_name: Some("log.retention.bytes"),
        documentation: "How many bytes a partition may hold before its oldest segments are removed, where \
            cleanup.policy has \"delete\". -1 is without end.",
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
        documentation: "How old, in ms, the newest record of a segment may grow before the segment is removed, where \
            cleanup.policy has \"delete\". -1 is without end.",
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
        documentation: "The bytes at which a segment is closed and a new one begun. Records are removed and compacted \
            a closed segment at a time.",
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
        documentation: "No effect: it is the most by which a segment may be closed too early, and none is.",
        rule: Rule::NumberHint {
            kind: Long,
            range: NOT_NEGATIVE,
            default: 0,
        },
    },
    Setting {
        name: "segment.ms",
        broker_name: Some("log.roll.ms"),
        documentation: "The age in ms at which a segment is closed and a new one begun.",
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
        documentation: "No effect: one node elects nobody.",
        rule: Rule::BooleanHint,
    },
];

const TIERED: &str = "there is no tiered storage";
const ONE_NODE: &str = "there is one node, which replicates to nobody";
const COMPRESSED_ELSEWHERE: &str = "batches are stored as they came, compressed by their producers";
const REMOVED: &str = "Kafka 4 has removed it";

/// What Kafka has, or had, and a topic here has not; and why.
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

/// How much a name must resemble a known one, from 0 to 1, to be taken for a slip.
const NEAR: f64 = 0.7;
/// No name is this long, nor a slip of one.
const LONG_NAME: usize = 100;

/// Every setting, by name.
pub fn all() -> &'static [Setting] {
    TABLE
}

/// The setting of that name.
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
