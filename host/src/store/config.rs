//! The `[store]` table.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// How much the store keeps. Past either bound the oldest Eventos go first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Eventos, at most; more than 0.
    pub max_events: u64,
    /// Memory for them, at most; more than 0.
    pub max_bytes: ByteSize,
    /// Whether it is rebuilt from the topic after a restart and when partitions come; else it starts empty.
    pub restore: bool,
}

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let keys = [
            ("max_events", self.max_events),
            ("max_bytes", self.max_bytes.as_u64()),
        ];
        keys.into_iter()
            .filter(|&(_, value)| value == 0)
            .map(|(key, _)| (key.to_owned(), "expected more than 0".to_owned()))
            .collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_events: 1_000_000,
            max_bytes: ByteSize::gib(1),
            restore: true,
        }
    }
}
