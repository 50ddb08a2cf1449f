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

    /// What is wrong with the values: a key in this table, and what would be right. librdkafka judges the
    /// properties.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut add = |key: &str, why: &str| problems.push((key.to_owned(), why.to_owned()));
        if !self.is_embedded() && !self.bootstrap_servers.split(',').all(is_server) {
            add(
                "bootstrap_servers",
                "expected \"embedded\" or host:port, more of them after commas",
            );
        }
        if self.group_id.is_empty() {
            add("group_id", "expected the name of a consumer group");
        }
        if self.connect_retry_delay.is_negative() {
            add("connect_retry_delay", "expected 0 or more");
        }
        for (name, value) in &self.properties {
            if let Some(why) = reserved(name)
                .map(str::to_owned)
                .or_else(|| refused(name, value))
            {
                add(
                    &format!("properties.{}", toml_edit::Key::new(name).display_repr()),
                    &why,
                );
            }
        }
        problems
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

/// `host:port`, perhaps with a listener's protocol before it, as librdkafka takes it.
fn is_server(server: &str) -> bool {
    let server = server.trim();
    let address = server
        .split_once("://")
        .map_or(server, |(_, address)| address);
    address.rsplit_once(':').is_some_and(|(host, port)| {
        let host = !host.is_empty() && !host.contains(['/', ' ']);
        host && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Why a property is not the user's to set: it has a key of its own here, or delivery rests on it.
fn reserved(property: &str) -> Option<&'static str> {
    match property {
        "bootstrap.servers" | "metadata.broker.list" => Some("set kafka.bootstrap_servers instead"),
        "group.id" => Some("set kafka.group_id instead"),
        "auto.offset.reset" => Some("set kafka.auto_offset_reset instead"),
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" => {
            Some("cannot be set: offsets are committed after the effects of their records")
        }
        "acks" | "request.required.acks" => {
            Some("cannot be set: every record is acknowledged by all replicas")
        }
        "enable.idempotence" | "transactional.id" => {
            Some("cannot be set: delivery.guarantee decides how records are produced")
        }
        "isolation.level" => Some("cannot be set: only what is committed is consumed"),
        "enable.partition.eof" => Some("cannot be set: the end of a partition is no event here"),
        _ => None,
    }
}

/// Why librdkafka refuses a property. It repeats values of numbers and choices only, never a password.
fn refused(name: &str, value: &str) -> Option<String> {
    let mut client = rdkafka::ClientConfig::new();
    match client.set(name, value).create_native_config() {
        Ok(_) => None,
        Err(rdkafka::error::KafkaError::ClientConfig(_, why, _, _)) => {
            Some(format!("librdkafka refuses it: {why}"))
        }
        Err(error) => Some(error.to_string()),
    }
}
