//! The `[store]` table.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Bounds of the store. Beyond either of them the oldest Eventos are evicted first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Maximum number of Eventos; more than 0.
    pub max_events: u64,
    /// Maximum memory of the stored Eventos; more than 0.
    pub max_bytes: ByteSize,
    /// Whether the store is rebuilt from the topic after a restart and when partitions are assigned; otherwise it
    /// starts empty.
    pub restore: bool,
}

impl Config {
    /// Returns the invalid values: each key, relative to this table, with what was expected.
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
