//! The broker that is killed and started again: that of a daemon without handlers, or a node of an Apache Kafka whose
//! command lines `cargo xtask chaos` hands over.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use eventos_testkit::{self as testkit, Daemon, Setup, eventually, free_port, provided};
use fastrand::Rng;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{EVENTOS, Kind};

/// Runs the rest of its command line, and kills it when its own input ends: when we close it, or die.
const LIFELINE: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
{ cat <&3 >/dev/null; kill -9 "$broker"; } &
wait "$broker"
"#;

// There is one of it.
#[allow(clippy::large_enum_variant)]
pub enum Broker {
    Embedded {
        setup: Setup,
        daemon: Option<Daemon>,
    },
    Kafka {
        addresses: String,
        nodes: Vec<Node>,
    },
}

/// A node of Kafka.
pub struct Node {
    /// Its command line, a word a line.
    command: String,
    /// None while it is down.
    shell: Option<Child>,
}

impl Broker {
    /// An empty one, as soon as it serves.
    pub fn start(kind: Kind) -> Self {
        let broker = match kind {
            Kind::Embedded => {
                let mut setup = Setup::new(EVENTOS, testkit::Broker::Embedded, &[], "");
                setup.broker_listen = format!("127.0.0.1:{}", free_port());
                let daemon = Some(setup.launch());
                Self::Embedded { setup, daemon }
            }
            Kind::Kafka | Kind::KafkaCluster => {
                let commands = provided("EVENTOS_CHAOS_KAFKA_COMMANDS");
                Self::Kafka {
                    addresses: provided("EVENTOS_CHAOS_KAFKA"),
                    nodes: commands.split("\n\n").map(Node::start).collect(),
                }
            }
        };
        broker.wait_until_it_serves();
        broker
    }

    /// As `kafka.bootstrap_servers` has it.
    pub fn address(&self) -> String {
        match self {
            Self::Embedded { setup, .. } => setup.broker_listen.clone(),
            Self::Kafka { addresses, .. } => addresses.clone(),
        }
    }

    /// kill -9 of one that is up, and gone.
    pub fn kill(&mut self, random: &mut Rng) {
        match self {
            Self::Embedded { daemon, .. } => drop(daemon.take()),
            Self::Kafka { nodes, .. } => random.choice(nodes).expect("some").kill(),
        }
    }

    /// Starts what is down again, on what it left.
    pub fn revive(&mut self) {
        match self {
            Self::Embedded { setup, daemon } => *daemon = Some(setup.launch()),
            Self::Kafka { nodes, .. } => nodes.iter_mut().for_each(Node::revive),
        }
    }

    /// Waits until all of it is there for clients.
    pub fn wait_until_it_serves(&self) {
        let nodes = match self {
            Self::Embedded { .. } => 1,
            Self::Kafka { nodes, .. } => nodes.len(),
        };
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a client");
        eventually("the broker to serve", || {
            let known = client.fetch_metadata(None, Duration::from_secs(1)).ok()?;
            (known.brokers().len() == nodes).then_some(())
        });
    }
}

impl Node {
    fn start(command: &str) -> Self {
        let mut node = Self {
            command: command.to_owned(),
            shell: None,
        };
        node.revive();
        node
    }

    fn revive(&mut self) {
        if self.shell.is_some() {
            return;
        }
        let mut shell = Command::new("sh");
        shell
            .args(["-c", LIFELINE, "sh"])
            .args(self.command.lines());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-kafka.log");
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("a log");
        let aside = shell
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log);
        self.shell = Some(aside.spawn().expect("started"));
    }

    fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().expect("waited");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
