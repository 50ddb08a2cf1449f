//! The tables `[delivery]` and `[output]`, and the topic of the records that leave the handler chain.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Partition, RecordRef},
    kafka::PartitionCount,
};

/// The `[delivery]` table: the delivery guarantee, and the topic of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the effects of a record can happen.
    pub guarantee: Guarantee,
    /// The topic for records that are not valid Eventos, or that handlers reject. It is created if it is missing.
    pub dead_letter_topic: String,
}

/// The `[output]` table: the destination of records that leave the handler chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// The topic, which is created if it is missing. Empty to produce nothing.
    pub topic: String,
}

impl OutputConfig {
    /// Returns the topic, if there is one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        (!self.topic.is_empty()).then_some(&self.topic)
    }
}

/// How often the effects of a record can happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// At least once: they may happen again after a crash.
    #[default]
    AtLeastOnce,
    /// Exactly once: the records that are produced are committed in one transaction with the offset of their source.
    ExactlyOnce,
}

impl Config {
    /// Returns the problems of the values: for each a key of this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        // The name of the topic is checked together with the other topics.
        Vec::new()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            guarantee: Guarantee::default(),
            dead_letter_topic: "eventos.dead-letters".to_owned(),
        }
    }
}

/// The topic of the records that leave the handler chain.
#[derive(Clone, Debug)]
pub struct Output {
    /// The name of the topic.
    pub topic: String,
    /// The number of its partitions.
    pub partitions: PartitionCount,
}

impl Output {
    /// Returns the partition for a record that comes from the partition `from`. A record with a key goes where its key puts it,
    /// as with any producer, so none is returned. A record without a key stays in the partition with the same number, modulo
    /// the number of partitions: so these records keep their order too.
    pub(super) fn partition(&self, from: Partition, record: &RecordRef<'_>) -> Option<Partition> {
        let same = || Partition(from.0 % self.partitions.get());
        record.key.is_none().then(same)
    }
}
