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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_events: 1_000_000,
            max_bytes: ByteSize::gib(1),
        }
    }
}
