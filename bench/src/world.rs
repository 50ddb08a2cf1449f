//! The daemons and brokers of a bench.

use std::env;

use eventos_testkit::{Broker, Daemon, Setup};

/// A broker that a bench runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// The one in the process of the daemon.
    BuiltIn,
    /// The Apache Kafka that `cargo xtask bench` has started.
    Kafka,
}

impl Servers {
    pub(crate) const BOTH: [Self; 2] = [Self::BuiltIn, Self::Kafka];

    /// Returns the name for a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in broker",
            Self::Kafka => "Kafka",
        }
    }
}

/// Returns the configuration of a daemon with these handlers, and with `config` (TOML) added. Its topic has 4 partitions.
pub(crate) fn setup(servers: Servers, handlers: &[&str], config: &str) -> Setup {
    let program = provided("EVENTOS_BENCH_PROGRAM");
    let mut setup = Setup::new(&program, Broker::Embedded, handlers, config);
    if servers == Servers::Kafka {
        setup.servers = kafka();
    }
    setup
}

/// Returns the address of the HTTP server of a daemon, without the scheme.
pub(crate) fn address(daemon: &Daemon) -> String {
    let url = daemon.url("");
    url.trim_start_matches("http://").to_owned()
}

/// Returns the address of the Apache Kafka.
pub(crate) fn kafka() -> String {
    provided("EVENTOS_BENCH_KAFKA")
}

/// Returns an environment variable that `cargo xtask bench` sets.
pub(crate) fn provided(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the bench as `cargo xtask bench NAME`")
    })
}
