//! The settings, the ports and the Java command line of a single Kafka node.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Kafka's own logging, on stdout and without the two pages of settings that it prints three times.
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

/// What Java is told about itself.
#[derive(Clone, Copy)]
pub enum Jvm {
    /// The simplest collector starts fastest and leaves the second core to the tests.
    Small,
    /// As `kafka-server-start.sh` and `kafka-run-class.sh` of Kafka 4.3 have it.
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

/// Who may connect.
#[derive(Clone, Copy)]
pub enum Doors {
    /// Anyone, who may do anything.
    Open,
    /// The same, and at another port the users `eventos`, `beginner` and `reader`, whose password is
    /// `secret`, and who may do what is granted to them.
    OpenAndGuarded,
}

/// A folder with a node's settings and, once it is formatted, its data.
pub struct Node<'a> {
    jars: &'a Path,
    jvm: Jvm,
    dir: &'a Path,
    /// Where clients connect.
    pub address: String,
    /// Where they have to log in.
    pub guarded: Option<String>,
}

impl<'a> Node<'a> {
    /// Chooses ports and writes the settings.
    pub fn configure(jars: &'a Path, jvm: Jvm, doors: Doors, dir: &'a Path) -> Result<Node<'a>> {
        let [broker, controller, guarded] = free_ports()?;
        let guarded = match doors {
            Doors::Open => None,
            Doors::OpenAndGuarded => Some(guarded),
        };
        let node = Node {
            jars,
            jvm,
            dir,
            address: format!("127.0.0.1:{broker}"),
            guarded: guarded.map(|port| format!("127.0.0.1:{port}")),
        };
        let mut settings = properties(dir, broker, controller);
        if let Some(port) = guarded {
            settings = guard(&settings, port);
        }
        write(&node.settings(), &settings)?;
        write(&node.logging(), LOG4J)?;
        Ok(node)
    }

    /// The command that makes an empty folder the node's own.
    pub fn format(&self) -> Command {
        let mut java = self.java("kafka.tools.StorageTool");
        // Any 16 bytes in base64 are an id of a cluster; nobody else will ever meet this one.
        java.args([
            "format",
            "--standalone",
            "--cluster-id",
            "ZXZlbnRvcy10ZXN0LWthZg",
            "--config",
        ]);
        java.arg(self.settings());
        java
    }

    /// The command that is the broker.
    pub fn serve(&self) -> Command {
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

/// One replica of everything, groups that do not wait for a second member, members of KIP-848's groups taken for dead
/// after six seconds instead of 45, and transactions that time out aborted within a second instead of ten; the rest is as
/// Kafka has it.
fn properties(dir: &Path, broker: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
",
        dir.join("data").display()
    )
}

/// One more listener, where users log in whose permissions are looked at. Who comes in at the others is nobody, and may
/// do all.
fn guard(settings: &str, port: u16) -> String {
    let settings = settings
        .replace(
            "\nlisteners=",
            &format!("\nlisteners=GUARDED://127.0.0.1:{port},"),
        )
        .replace(".protocol.map=", ".protocol.map=GUARDED:SASL_PLAINTEXT,");
    format!(
        "{settings}inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_eventos=\"secret\" user_beginner=\"secret\" user_reader=\"secret\";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"
    )
}

/// Ports that were free a moment ago. All are held until all are known, so they differ.
fn free_ports() -> Result<[u16; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("there is no free port on 127.0.0.1");
    let sockets = [bind()?, bind()?, bind()?];
    let port = |socket: &TcpListener| anyhow::Ok(socket.local_addr()?.port());
    Ok([port(&sockets[0])?, port(&sockets[1])?, port(&sockets[2])?])
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_differ() {
        // That they are free is told by the broker alone: between here and there anyone may take one.
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && c != a);
        assert!(a != 0 && b != 0 && c != 0);
    }

    #[test]
    fn it_listens_on_loopback_only() {
        let text = guard(&properties(Path::new("/tmp/k"), 1, 2), 3);
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
}
