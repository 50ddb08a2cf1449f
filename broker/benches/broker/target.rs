//! The two brokers: their addresses, processes and topics.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use eventos_testkit::measure::{
    cpu::ThreadTimes,
    part::{Part, runtime},
    process_seconds,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
};

use crate::Took;

/// The longest time that the bench waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A broker under test.
pub(crate) struct Target {
    pub address: String,
    pid: u32,
}

impl Target {
    /// Starts the built-in broker, which ends when the part is dropped.
    pub(crate) fn ours(dir: &Path) -> (Part, Self) {
        let mut part = Part::start(&["broker", &dir.display().to_string()]);
        let (address, pid) = (part.read_line(), part.id());
        (part, Self { address, pid })
    }

    /// Returns the Kafka that xtask started.
    pub(crate) fn kafka() -> Self {
        let variable = |name| env::var(name).expect("run it as `cargo xtask bench broker`");
        let pid = variable("EVENTOS_BENCH_KAFKA_PID");
        let pid = pid.parse().expect("a process id");
        let address = variable("EVENTOS_BENCH_KAFKA");
        Self { address, pid }
    }

    /// Measures the duration of `work`.
    pub(crate) fn time(&self, work: impl FnOnce()) -> Took {
        let (threads, client) = (ThreadTimes::read(self.pid), process_seconds());
        let began = Instant::now();
        work();
        Took {
            wall: began.elapsed().as_secs_f64(),
            client: process_seconds() - client,
            broker: threads.seconds_since(),
        }
    }

    /// Creates a topic.
    pub(crate) fn create_topic(&self, number: usize, partitions: usize) -> String {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        let admin: AdminClient<_> = config.create().expect("a client");
        let name = format!("bench-{number}");
        let partitions = i32::try_from(partitions).expect("few");
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new();
        let created = runtime().block_on(admin.create_topics([&new], &options));
        created.expect("an answer")[0].clone().expect("created");
        name
    }
}

/// Returns the load average of the system over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").expect("Linux has it");
    let three: Vec<_> = load.split(' ').take(3).collect();
    three.join(" ")
}
