//! The broker that is killed and started again: that of a daemon without handlers, or an Apache Kafka whose command line
//! `cargo xtask chaos` hands over.

use std::{
    fs::File,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    Kind,
    support::{self, Daemon, Setup, eventually, free_port, provided},
};

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
        address: String,
        shell: Child,
    },
}

impl Broker {
    /// An empty one, as soon as it serves.
    pub fn start(kind: Kind) -> Self {
        let broker = match kind {
            Kind::Embedded => {
                let mut setup = Setup::new(support::Broker::Embedded, &[], "");
                setup.broker_listen = format!("127.0.0.1:{}", free_port());
                let daemon = Some(setup.launch());
                Self::Embedded { setup, daemon }
            }
            Kind::Kafka => Self::Kafka {
                address: provided("EVENTOS_CHAOS_KAFKA"),
                shell: kafka(),
            },
        };
        broker.wait_until_it_serves();
        broker
    }

    /// As `kafka.bootstrap_servers` has it.
    pub fn address(&self) -> String {
        match self {
            Self::Embedded { setup, .. } => setup.broker_listen.clone(),
            Self::Kafka { address, .. } => address.clone(),
        }
    }

    /// kill -9, and gone.
    pub fn kill(&mut self) {
        match self {
            Self::Embedded { daemon, .. } => drop(daemon.take()),
            Self::Kafka { shell, .. } => end(shell),
        }
    }

    /// Starts it again, on what it left.
    pub fn revive(&mut self) {
        match self {
            Self::Embedded { setup, daemon } => *daemon = Some(setup.launch()),
            Self::Kafka { shell, .. } => *shell = kafka(),
        }
    }

    /// Waits until it takes connections.
    pub fn wait_until_it_serves(&self) {
        let address = self.address();
        eventually("the broker to serve", || TcpStream::connect(&address).ok());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Self::Kafka { shell, .. } = self {
            end(shell);
        }
    }
}

fn kafka() -> Child {
    let words = provided("EVENTOS_CHAOS_KAFKA_COMMAND");
    let mut shell = Command::new("sh");
    shell.args(["-c", LIFELINE, "sh"]).args(words.lines());
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-kafka.log");
    let log = File::options().create(true).append(true).open(log);
    let log = log.expect("a log");
    let aside = shell
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log);
    aside.spawn().expect("started")
}

fn end(shell: &mut Child) {
    drop(shell.stdin.take());
    shell.wait().expect("waited");
}
