//! The settings, the ports and the Java command line of a Kafka node, alone or one of several.

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::certificates;

/// What the user `operator` can log in with.
const SCRAM_MECHANISMS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Logging to stdout, without the two pages of settings that Kafka prints three times.
const LOG4J: &str = "\
rootLogger.level = info
rootLogger.appenderRef.stdout.ref = stdout
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %m (%c)%n
";

/// Settings of the Java virtual machine.
#[derive(Clone, Copy)]
pub(crate) enum Jvm {
    /// The simplest garbage collector starts fastest and leaves the second core to the tests.
    Small,
    /// The settings of `kafka-server-start.sh` and `kafka-run-class.sh` of Kafka 4.3.
    AsShipped,
}

impl Jvm {
    fn options(self) -> &'static [&'static str] {
        match self {
            Jvm::Small => &["-Xmx512m", "-XX:+UseSerialGC"],
            Jvm::AsShipped => &[
                "-Xmx1G",
                "-Xms1G",
                "-server",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35",
                "-XX:+ExplicitGCInvokesConcurrent",
                "-XX:MaxInlineLevel=15",
            ],
        }
    }
}

/// Access control of a node.
#[derive(Clone, Copy)]
pub(crate) enum Doors {
    /// Anyone may connect and do anything.
    Open,
    /// In addition, users with the password `secret` can log in at two more ports. The users `eventos`, `beginner` and
    /// `reader` log in with PLAIN on an unencrypted connection, and may only do what is granted to them. The user
    /// `operator` logs in with SCRAM on an encrypted connection, and may do anything.
    OpenAndGuarded,
}

/// A folder with a node's settings and, once it is formatted, its data.
pub(super) struct Node<'a> {
    jars: &'a Path,
    jvm: Jvm,
    dir: &'a Path,
    /// The address for clients.
    pub address: String,
    /// The addresses for clients that log in.
    pub logins: Option<Logins>,
}

/// Where clients of a node log in.
pub(crate) struct Logins {
    /// The address of the unencrypted listener, with PLAIN.
    pub(crate) guarded: String,
    /// The address of the encrypted listener, with SCRAM.
    pub(crate) encrypted: String,
    /// The file with the certificate of the authority that issued that of the broker.
    pub(crate) authority: PathBuf,
}

/// The ports of a node.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    broker: u16,
    controller: u16,
    guarded: u16,
    encrypted: u16,
}

impl<'a> Node<'a> {
    /// Writes the settings of node `i` of a cluster whose nodes use `ports`.
    pub(super) fn configure(
        jars: &'a Path,
        jvm: Jvm,
        doors: Doors,
        (i, cluster): (usize, &[Ports]),
        dir: &'a Path,
    ) -> Result<Node<'a>> {
        let ports = cluster[i];
        let mut settings = properties(dir, i, cluster);
        let logins = match doors {
            Doors::Open => None,
            Doors::OpenAndGuarded => {
                certificates::write(dir)?;
                settings = guard(&settings, dir, ports);
                Some(Logins {
                    guarded: format!("127.0.0.1:{}", ports.guarded),
                    encrypted: format!("127.0.0.1:{}", ports.encrypted),
                    authority: dir.join(certificates::AUTHORITY),
                })
            }
        };
        let node = Node {
            jars,
            jvm,
            dir,
            address: format!("127.0.0.1:{}", ports.broker),
            logins,
        };
        write(&node.settings(), &settings)?;
        write(&node.logging(), LOG4J)?;
        Ok(node)
    }

    /// Returns the command that formats the node's empty folder.
    pub(super) fn format(&self) -> Command {
        let mut java = self.java("kafka.tools.StorageTool");
        // Any 16 bytes in base64 are the id of a cluster, and this one never meets another.
        java.args([
            "format",
            "--cluster-id",
            "ZXZlbnRvcy10ZXN0LWthZg",
            "--config",
        ]);
        java.arg(self.settings());
        if self.logins.is_some() {
            for mechanism in SCRAM_MECHANISMS {
                let user = format!("{mechanism}=[name=operator,password=secret]");
                java.args(["--add-scram", &user]);
            }
        }
        java
    }

    /// Returns the command that runs the broker.
    pub(super) fn serve(&self) -> Command {
        let mut java = self.java("kafka.Kafka");
        java.arg(self.settings());
        java
    }

    fn java(&self, class: &str) -> Command {
        let mut logging = OsString::from("-Dlog4j2.configurationFile=");
        logging.push(self.logging());
        let mut java = Command::new("java");
        java.args(self.jvm.options()).arg(logging);
        java.arg("-cp").arg(self.jars.join("*")).arg(class);
        java
    }

    fn settings(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    fn logging(&self) -> PathBuf {
        self.dir.join("log4j2.properties")
    }
}

/// Replicates everything to all nodes, a majority of which has to acknowledge. Groups do not wait for a second
/// member, and accept session timeouts from one second on instead of six. Members of KIP-848's groups are considered
/// dead after six seconds instead of 45, nodes after two instead of nine, and transactions that time out are aborted
/// within a second instead of ten. Everything else has Kafka's defaults.
fn properties(dir: &Path, i: usize, cluster: &[Ports]) -> String {
    let Ports {
        broker, controller, ..
    } = cluster[i];
    let numbered = cluster.iter().zip(1..);
    let voters = numbered.map(|(ports, id)| format!("{id}@127.0.0.1:{}", ports.controller));
    let (replicas, majority) = (cluster.len(), cluster.len() / 2 + 1);
    format!(
        "process.roles=broker,controller
node.id={id}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={dir}
default.replication.factor={replicas}
min.insync.replicas={majority}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={majority}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={majority}
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
",
        id = i + 1,
        voters = voters.collect::<Vec<_>>().join(","),
        dir = dir.join("data").display(),
    )
}

/// Adds the listeners where users log in and permissions are checked. Clients of the other listeners are anonymous and
/// may do everything.
fn guard(settings: &str, dir: &Path, ports: Ports) -> String {
    let Ports {
        guarded, encrypted, ..
    } = ports;
    let settings = settings
        .replace(
            "\nlisteners=",
            &format!(
                "\nlisteners=GUARDED://127.0.0.1:{guarded},ENCRYPTED://127.0.0.1:{encrypted},"
            ),
        )
        .replace(
            ".protocol.map=",
            ".protocol.map=GUARDED:SASL_PLAINTEXT,ENCRYPTED:SASL_SSL,",
        );
    let scram = SCRAM_MECHANISMS.map(|mechanism| {
        let mechanism = mechanism.to_lowercase();
        format!(
            "listener.name.encrypted.{mechanism}.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        )
    });
    format!(
        "{settings}inter.broker.listener.name=PLAINTEXT
listener.name.guarded.sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_eventos=\"secret\" user_beginner=\"secret\" user_reader=\"secret\";
listener.name.encrypted.sasl.enabled.mechanisms={mechanisms}
{scram}listener.name.encrypted.ssl.keystore.type=PEM
listener.name.encrypted.ssl.keystore.location={broker}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:operator
",
        mechanisms = SCRAM_MECHANISMS.join(","),
        scram = scram.concat(),
        broker = dir.join(certificates::BROKER).display(),
    )
}

/// Returns ports for `nodes` nodes that were free a moment ago. All are held until all are known, so they differ.
pub(super) fn free_ports(nodes: usize) -> Result<Vec<Ports>> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").context("there is no free port on 127.0.0.1");
    let sockets: Vec<_> = (0..4 * nodes).map(bind).collect::<Result<_>>()?;
    let port = |socket: &TcpListener| anyhow::Ok(socket.local_addr()?.port());
    let ports: Vec<_> = sockets.iter().map(port).collect::<Result<_>>()?;
    let each = ports.chunks_exact(4).map(|of_one| Ports {
        broker: of_one[0],
        controller: of_one[1],
        guarded: of_one[2],
        encrypted: of_one[3],
    });
    Ok(each.collect())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_ports_differ() {
        // Whether the ports are still free is decided by the broker: in between, another process may take one.
        let ports = free_ports(3).unwrap();
        let all = ports
            .iter()
            .flat_map(|it| [it.broker, it.controller, it.guarded, it.encrypted]);
        let all: BTreeSet<_> = all.collect();
        assert_eq!(all.len(), 12);
        assert!(!all.contains(&0));
    }

    #[test]
    fn it_listens_on_loopback_only() {
        let ports = Ports {
            broker: 1,
            controller: 2,
            guarded: 3,
            encrypted: 4,
        };
        let dir = Path::new("/tmp/k");
        let text = guard(&properties(dir, 0, &[ports]), dir, ports);
        let listeners = text
            .lines()
            .find_map(|line| line.strip_prefix("listeners="))
            .unwrap();
        assert!(
            listeners
                .split(',')
                .all(|listener| listener.contains("://127.0.0.1:")),
            "{listeners}"
        );
        assert!(text.contains("log.dirs=/tmp/k/data\n"));
    }

    #[test]
    fn a_majority_of_several_has_what_is_acknowledged() {
        let ports = free_ports(3).unwrap();
        let text = properties(Path::new("/tmp/k"), 2, &ports);
        for line in [
            "node.id=3",
            "default.replication.factor=3",
            "min.insync.replicas=2",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is in {text}");
        }
        assert_eq!(text.matches("@127.0.0.1:").count(), 3);
    }
}
