//! The tables `[delivery]` and `[output]`, and the topic of what leaves the chain.

use serde::{Deserialize, Serialize};

use crate::event::{Partition, RecordRef};

/// What is promised of each record, and where those go that no handler could handle.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the effects of a record can happen.
    pub guarantee: Guarantee,
    /// The topic for records that are no Eventos, or that handlers reject; created when missing.
    pub dead_letter_topic: String,
}

/// Where that goes which leaves the chain of handlers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// The topic; created when missing. Empty for none: what leaves the chain goes nowhere.
    pub topic: String,
}

impl OutputConfig {
    /// The topic, if there is one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        (!self.topic.is_empty()).then_some(&self.topic)
    }
}

/// How often the effects of a record can happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// At least once: again after a crash, never less.
    #[default]
    AtLeastOnce,
    /// Exactly once: what is produced and the offset of what it came of are committed in one transaction.
    ExactlyOnce,
}

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
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

/// The topic to which that goes which leaves the chain.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub topic: String,
    /// How many partitions it has, at least 1.
    pub partitions: i32,
}

impl Output {
    /// A record with a key goes where the key puts it, as with any producer (none is chosen). One without stays in
    /// the partition that it came from, or where the output has fewer, in the one of that number modulo theirs: so
    /// those keep their order too.
    pub(super) fn partition(&self, from: Partition, record: &RecordRef<'_>) -> Option<Partition> {
        let same = || Partition(from.0 % self.partitions.max(1));
        record.key.is_none().then(same)
    }
}
