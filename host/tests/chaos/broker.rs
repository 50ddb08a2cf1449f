//! The broker that is killed and started again: the built-in broker of a daemon without handlers, or an Apache Kafka whose
//! command lines come from `cargo xtask chaos`.

use std::{path::Path, time::Duration};

use eventos_testkit::{self as testkit, Daemon, KafkaNode, Setup, eventually, free_port, provided};
use fastrand::Rng;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{BrokerKind, EVENTOS};

#[allow(clippy::large_enum_variant, reason = "there is only one of it")]
pub(crate) enum ChaosBroker {
    /// The built-in broker of a daemon.
    BuiltIn {
        setup: Setup,
        /// `None` while it is down.
        daemon: Option<Daemon>,
    },
    /// An Apache Kafka of one or more nodes.
    Kafka {
        addresses: String,
        nodes: Vec<KafkaNode>,
    },
}

impl ChaosBroker {
    /// Starts an empty broker and waits until it serves clients.
    pub(crate) fn start(kind: BrokerKind) -> Self {
        let broker = match kind {
            BrokerKind::Embedded => {
                let mut setup = Setup::new(EVENTOS, testkit::Broker::Embedded, &[], "");
                setup.broker_listen = format!("127.0.0.1:{}", free_port());
                let daemon = Some(setup.spawn());
                Self::BuiltIn { setup, daemon }
            }
            BrokerKind::Kafka | BrokerKind::KafkaCluster => {
                let commands = provided("EVENTOS_CHAOS_KAFKA_COMMANDS");
                let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-kafka.log");
                let start = |command| KafkaNode::start(command, &log);
                Self::Kafka {
                    addresses: provided("EVENTOS_CHAOS_KAFKA"),
                    nodes: commands.split("\n\n").map(start).collect(),
                }
            }
        };
        broker.wait_until_it_serves();
        broker
    }

    /// Returns the value for `kafka.bootstrap_servers`.
    pub(crate) fn servers(&self) -> String {
        match self {
            Self::BuiltIn { setup, .. } => setup.broker_listen.clone(),
            Self::Kafka { addresses, .. } => addresses.clone(),
        }
    }

    /// Kills the broker, or one node of it, with SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self, random: &mut Rng) {
        match self {
            Self::BuiltIn { daemon, .. } => drop(daemon.take()),
            Self::Kafka { nodes, .. } => random.choice(nodes).expect("at least one node").kill(),
        }
    }

    /// Starts every node that is down. Each has the data that it had.
    pub(crate) fn revive(&mut self) {
        match self {
            Self::BuiltIn { setup, daemon } => *daemon = Some(setup.spawn()),
            Self::Kafka { nodes, .. } => nodes.iter_mut().for_each(KafkaNode::revive),
        }
    }

    /// Waits until all nodes serve clients.
    pub(crate) fn wait_until_it_serves(&self) {
        let nodes = match self {
            Self::BuiltIn { .. } => 1,
            Self::Kafka { nodes, .. } => nodes.len(),
        };
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.servers())
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a client");
        eventually("the broker to serve clients", || {
            let metadata = client.fetch_metadata(None, Duration::from_secs(1)).ok()?;
            (metadata.brokers().len() == nodes).then_some(())
        });
    }
}
