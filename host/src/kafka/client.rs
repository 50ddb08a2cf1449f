//! What all clients share: the cluster that they connect to, the errors that they return, and the lines that they log.

use std::{error::Error as _, sync::Arc};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Config, native::keep_tls_until_exit, permissions::Permission};

/// Failures of requests to the broker, except for producing a record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka rejects the properties.
    #[error("cannot make a Kafka client with the properties in [kafka.properties]")]
    Properties(#[source] KafkaError),
    /// No broker responded to any attempt.
    #[error(
        "no Kafka broker answers at {servers} after {tries} tries; start it, set kafka.bootstrap_servers \
         (\"{embedded}\" needs no Kafka), or, if it encrypts its connections, set \"security.protocol\" in \
         [kafka.properties]",
        embedded = Config::EMBEDDED
    )]
    NoBroker {
        /// The bootstrap servers.
        servers: String,
        /// The number of attempts.
        tries: u32,
        /// The error of the last attempt.
        #[source]
        source: KafkaError,
    },
    /// A broker rejected the connection.
    #[error(
        "the broker at {servers} rejected the connection: {why}; set \"security.protocol\", \"sasl.username\", \
         \"sasl.password\" and whatever else it requires in [kafka.properties]"
    )]
    NotLetIn {
        /// The bootstrap servers.
        servers: String,
        /// The reason that the broker gave.
        why: String,
    },
    /// The user of this daemon lacks a permission.
    #[error("the broker denies a permission to the user of this daemon; grant it {0}")]
    NotPermitted(Permission),
    /// A topic is missing and the broker rejects its creation.
    #[error("cannot create the topic {topic}: {code}; create it by hand, or allow this daemon to")]
    CreateTopic {
        /// Name of the topic.
        topic: String,
        /// The error code of the broker.
        code: RDKafkaErrorCode,
    },
    /// A topic is missing and the broker rejects its name.
    #[error(
        "cannot create the topic {0}: the broker rejects the name; give it another one in the configuration. Kafka rejects a name \
         that differs from that of another topic only in \".\" and \"_\", which are the same in its metrics"
    )]
    TopicName(String),
    /// A topic was created but did not appear.
    #[error("the topic {0} did not appear in the metadata of the broker after it was created")]
    NoTopic(String),
    /// A topic to read does not exist.
    #[error("the topic {0} does not exist")]
    TopicMissing(String),
    /// A request failed.
    #[error("cannot {what}")]
    Request {
        /// The action that failed, as a verb and its object.
        what: &'static str,
        /// The error of the request.
        #[source]
        source: KafkaError,
    },
    /// The broker does not support the group protocol of KIP-848, in which it assigns the partitions itself.
    #[error(
        "the broker does not support \"group.protocol\" = \"consumer\"; remove it from [kafka.properties], or use Apache \
         Kafka 4"
    )]
    NoAssignor,
    /// librdkafka has reported a fatal error, after which the client cannot be used.
    #[error("the Kafka client failed: {0}")]
    Fatal(KafkaError),
}

impl Error {
    /// Returns whether the cause is the lack of a permission.
    #[must_use]
    pub fn is_lack_of_permission(&self) -> bool {
        self.permission("", "").is_some()
    }

    /// Returns the error and its cause in one line of text.
    pub(super) fn in_one_line(&self) -> String {
        match self.source() {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// Returns the permission to grant if its lack is the cause. `topic` and `group` are those that the request was
    /// about.
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
    /// Makes a cluster of the `[kafka]` table and its bootstrap servers. These are passed separately because the
    /// address of the built-in broker is known only once it listens.
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
        keep_tls_until_exit();
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

/// The context of a client that only forwards its log lines.
#[derive(Clone, Copy)]
pub(super) struct Logged;

impl ClientContext for Logged {
    /// Logs no statistics, which rust-rdkafka would.
    fn stats_raw(&self, _: &[u8]) {}

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Logged {}

/// The context of a client that also remembers why a broker rejected its connection.
#[derive(Default)]
pub(super) struct Watched(Mutex<Option<String>>);

impl Watched {
    /// Returns why a broker rejected a connection since the last call, if one did.
    pub(super) fn take_refusal(&self) -> Option<String> {
        self.0.lock().take()
    }
}

impl ClientContext for Watched {
    /// Logs no statistics, which rust-rdkafka would.
    fn stats_raw(&self, _: &[u8]) {}

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed};
        tracing::debug!(%error, reason, "kafka client");
        if let Some(Authentication | SaslAuthenticationFailed | SSL) = error.rdkafka_error_code() {
            *self.0.lock() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Watched {}

/// The end of librdkafka's warning about a property that only consumers have.
const CONSUMER_PROPERTY: &str = "will be ignored by this producer instance";

/// Forwards a line of librdkafka's log, whose levels are those of syslog. Its errors are mostly lost connections, which
/// it restores itself, so they are logged as warnings.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        // A fatal error is reported by the owner of the client. The properties of consumers are passed to producers,
        // too.
        _ if matches!(facility, "FATAL" | "TXNERR") || message.ends_with(CONSUMER_PROPERTY) => {
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
