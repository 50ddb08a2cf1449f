//! The `[kafka]` table of the configuration.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::native::keep_tls_until_exit;

/// The `[kafka]` table: the topic of Eventos, and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `embedded` for the built-in broker, or `host:port`; several are separated by commas.
    pub bootstrap_servers: String,
    /// The topic of Eventos, which is consumed and to which `/send` produces. It is created if it is missing.
    pub topic: String,
    /// The consumer group.
    pub group_id: String,
    /// Where a group without a committed offset starts.
    pub auto_offset_reset: AutoOffsetReset,
    /// Number of times that the connection is retried at startup.
    pub connect_retries: u32,
    /// Pause between two such attempts.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub connect_retry_delay: SignedDuration,
    /// Properties of librdkafka. They override those that this program sets itself.
    pub properties: BTreeMap<String, String>,
}

/// Where a group without a committed offset starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOffsetReset {
    /// The oldest record that the broker has.
    #[default]
    Earliest,
    /// The first record that is produced after the start.
    Latest,
}

impl Config {
    /// The value of `bootstrap_servers` that selects the built-in broker.
    pub const EMBEDDED: &str = "embedded";

    /// Returns whether the built-in broker is selected.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.bootstrap_servers == Self::EMBEDDED
    }

    /// Checks the values. Returns the key in this table and the message of each problem. The properties are checked by
    /// librdkafka.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut add = |key: &str, why: &str| problems.push((key.to_owned(), why.to_owned()));
        if !self.is_embedded() && !self.bootstrap_servers.split(',').all(is_server) {
            add(
                "bootstrap_servers",
                "expected \"embedded\" or host:port; several are separated by commas",
            );
        }
        if self.group_id.trim().is_empty() {
            add("group_id", "expected the name of a consumer group");
        }
        if self.connect_retry_delay.is_negative() {
            add("connect_retry_delay", "expected 0 or more");
        }
        for (name, value) in &self.properties {
            if let Some(why) = reserved(name)
                .map(str::to_owned)
                .or_else(|| rejected(name, value))
            {
                // A string is quoted in TOML as it is in JSON.
                add(
                    &format!("properties.{}", serde_json::Value::from(name.as_str())),
                    &why,
                );
            }
        }
        if let Some(property) = self.needs_gssapi() {
            problems.push((
                format!("properties.\"{property}\""),
                "this build has no GSSAPI (Kerberos), librdkafka's default for SASL: set \"sasl.mechanism\", for \
                 example to \"SCRAM-SHA-512\", or build with `--features gssapi`"
                    .to_owned(),
            ));
        }
        problems
    }

    /// Returns the property by which the clients would log in with GSSAPI, if this build cannot.
    fn needs_gssapi(&self) -> Option<&str> {
        let property = |names: &[&str]| {
            let set = |name: &&str| self.properties.get_key_value(*name);
            let (name, value) = names.iter().find_map(set)?;
            Some((name.as_str(), value.to_ascii_lowercase()))
        };
        let (protocol, value) = property(&["security.protocol"])?;
        if cfg!(feature = "gssapi") || !value.starts_with("sasl") {
            return None;
        }
        match property(&["sasl.mechanism", "sasl.mechanisms"]) {
            None => Some(protocol),
            Some((mechanism, value)) => (value == "gssapi").then_some(mechanism),
        }
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

/// Returns whether librdkafka accepts this as a server: `host:port`, optionally with the protocol of a listener before
/// it.
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

/// Returns why a property cannot be set: it has a key of its own, or a delivery guarantee depends on it.
fn reserved(property: &str) -> Option<&'static str> {
    match property {
        "bootstrap.servers" | "metadata.broker.list" => Some("set kafka.bootstrap_servers instead"),
        "group.id" => Some("set kafka.group_id instead"),
        "auto.offset.reset" => Some("set kafka.auto_offset_reset instead"),
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" => {
            Some("cannot be set: an offset is committed after the effects of its record")
        }
        "acks" | "request.required.acks" => {
            Some("cannot be set: every record is acknowledged by all replicas")
        }
        "enable.idempotence" | "transactional.id" => {
            Some("cannot be set: delivery.guarantee decides how records are produced")
        }
        "isolation.level" => Some("cannot be set: only committed records are consumed"),
        "enable.partition.eof" => Some("cannot be set: restoring the store relies on it"),
        _ => None,
    }
}

/// Returns why librdkafka rejects a property. Its message quotes the value of a number or an enumeration, never a
/// password.
fn rejected(name: &str, value: &str) -> Option<String> {
    keep_tls_until_exit();
    let mut client = rdkafka::ClientConfig::new();
    match client.set(name, value).create_native_config() {
        Ok(_) => None,
        Err(rdkafka::error::KafkaError::ClientConfig(_, why, _, _)) => {
            Some(format!("librdkafka rejects it: {why}"))
        }
        Err(error) => Some(error.to_string()),
    }
}
