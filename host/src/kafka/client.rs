//! What every client shares: the properties that it starts from, its log lines and its errors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Config, permissions::Permission};

/// What can go wrong with the broker, outside of producing a single record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses the properties.
    #[error("the properties in [kafka.properties] do not make a client")]
    Properties(#[source] KafkaError),
    /// No broker answered, however often it was tried.
    #[error(
        "no Kafka broker answers at {servers} after {tries} tries; start it, or set \
         kafka.bootstrap_servers (\"{embedded}\" needs no Kafka)",
        embedded = Config::EMBEDDED
    )]
    NoBroker {
        /// The bootstrap servers.
        servers: String,
        /// How often it was tried.
        tries: u32,
        /// What the last try said.
        #[source]
        source: KafkaError,
    },
    /// A broker answered, and does not let us in.
    #[error(
        "the broker at {servers} does not let this daemon in: {why}; set \"sasl.username\", \"sasl.password\" and \
         what else it wants in [kafka.properties]"
    )]
    NotLetIn {
        /// The bootstrap servers.
        servers: String,
        /// What it said.
        why: String,
    },
    /// The user that the daemon logs in as lacks a permission.
    #[error("the broker refuses this daemon's user a permission; grant it {0}")]
    NotPermitted(Permission),
    /// A topic is missing and cannot be made.
    #[error("the topic {topic} cannot be created: {code}; create it by hand, or permit it")]
    CreateTopic {
        /// Its name.
        topic: String,
        /// The broker's answer.
        code: RDKafkaErrorCode,
    },
    /// A topic was asked for and did not show.
    #[error("the topic {0} does not show in the broker's metadata")]
    NoTopic(String),
    /// A request failed.
    #[error("the broker refuses to {what}")]
    Request {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        #[source]
        source: KafkaError,
    },
    /// The broker knows no group in which it assigns the partitions itself (KIP-848).
    #[error(
        "the broker does not assign partitions itself; leave \"group.protocol\" out of [kafka.properties], or take Apache \
         Kafka 4"
    )]
    NoAssignor,
    /// librdkafka gave the client up.
    #[error("the Kafka client cannot go on: {0}")]
    Fatal(KafkaError),
}

impl Error {
    /// Whether the broker refuses it for lack of a permission.
    #[must_use]
    pub fn is_lack_of_permission(&self) -> bool {
        self.permission("", "").is_some()
    }

    /// What is to be granted, if that is what it lacks: to read this topic, or to be in this group.
    #[must_use]
    pub fn permission(&self, topic: &str, group: &str) -> Option<Permission> {
        use RDKafkaErrorCode::{GroupAuthorizationFailed, TopicAuthorizationFailed};
        match self {
            Self::NotPermitted(permission) => Some(permission.clone()),
            Self::Request { source, .. } => match source.rdkafka_error_code()? {
                TopicAuthorizationFailed => Some(Permission::Read(topic.to_owned())),
                GroupAuthorizationFailed => Some(Permission::Join(group.to_owned())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A Kafka cluster, and what this daemon does in it: the `[kafka]` table and the servers to connect to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cluster {
    config: Arc<Config>,
    servers: Arc<str>,
}

impl Cluster {
    /// Makes a cluster of the `[kafka]` table and its bootstrap servers. These are passed separately because the address
    /// of the built-in broker is known only once it listens.
    #[must_use]
    pub fn new(config: Config, servers: &str) -> Self {
        Self {
            config: Arc::new(config),
            servers: servers.into(),
        }
    }

    /// Returns the `[kafka]` table.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the bootstrap servers, as `host:port` with commas between.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// Returns the properties of a client. Those in `[kafka.properties]` override `defaults`.
    pub(super) fn properties(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut properties = ClientConfig::new();
        properties
            .set("bootstrap.servers", &*self.servers)
            .set("client.id", "eventos")
            // With librdkafka's default of 10 s, a client may stay idle that long after the broker is back.
            .set("reconnect.backoff.max.ms", "1000")
            // Bounds the time until added partitions are seen; librdkafka's default is 5 minutes.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in defaults {
            properties.set(*name, *value);
        }
        for (name, value) in &self.config.properties {
            properties.set(name, value);
        }
        properties
    }
}

/// The context of a client that only needs its log lines in our log.
#[derive(Clone, Copy)]
pub(super) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Logged {}

/// The context of a client that asks whether there is a broker: it remembers why it was not let in.
#[derive(Default)]
pub(super) struct Watched(Mutex<Option<String>>);

impl Watched {
    /// Why it was not let in since this was asked last, if it was not.
    pub(super) fn shut_out(&self) -> Option<String> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Watched {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed};
        tracing::debug!(%error, reason, "kafka client");
        if let Some(Authentication | SaslAuthenticationFailed | SSL) = error.rdkafka_error_code() {
            *self.lock() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Watched {}

/// How librdkafka ends what it says of a property that only consumers have.
const NOT_ITS_OWN: &str = "will be ignored by this producer instance";

/// librdkafka's levels are syslog's. What it calls an error is mostly a lost connection that it
/// will mend itself, so nothing is louder than a warning here.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        // Whoever has the client tells what is given up; each client gets the properties of all kinds of clients.
        _ if matches!(facility, "FATAL" | "TXNERR") || message.ends_with(NOT_ITS_OWN) => {
            tracing::debug!(target: "eventos::librdkafka", facility, "{message}");
        }
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(target: "eventos::librdkafka", facility, "{message}");
        }
        Level::Notice | Level::Info => {
            tracing::info!(target: "eventos::librdkafka", facility, "{message}");
        }
        Level::Debug => tracing::debug!(target: "eventos::librdkafka", facility, "{message}"),
    }
}
