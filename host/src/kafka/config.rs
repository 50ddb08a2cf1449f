//! The `[kafka]` table.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Where the Eventos are, and how to reach them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `embedded` for the broker inside, else `host:port,…`.
    pub bootstrap_servers: String,
    /// The topic that is consumed and that `/send` produces to; created when missing.
    pub topic: String,
    /// The consumer group.
    pub group_id: String,
    /// Where a group without a committed offset begins.
    pub auto_offset_reset: AutoOffsetReset,
    /// How often a broker that does not answer at start is tried again.
    pub connect_retries: u32,
    /// The pause between two such tries.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub connect_retry_delay: SignedDuration,
    /// librdkafka properties, verbatim; they win over what this program sets itself.
    pub properties: BTreeMap<String, String>,
}

/// Where a group without a committed offset begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOffsetReset {
    /// At the oldest record that the broker has.
    #[default]
    Earliest,
    /// At what is produced from now on.
    Latest,
}

impl Config {
    /// What `bootstrap_servers` says for the broker inside.
    pub const EMBEDDED: &str = "embedded";

    /// Whether the broker inside is to be used.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.bootstrap_servers == Self::EMBEDDED
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootstrap_servers: Self::EMBEDDED.to_owned(),
            topic: "eventos".to_owned(),
            group_id: "grupo-consumidor-2".to_owned(),
            auto_offset_reset: AutoOffsetReset::default(),
            connect_retries: 10,
            connect_retry_delay: SignedDuration::from_secs(3),
            properties: BTreeMap::new(),
        }
    }
}
