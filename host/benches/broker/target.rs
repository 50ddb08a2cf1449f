//! The two brokers: where they listen, which process they are, and their topics.

use std::{
    cell::Cell,
    env, fs,
    path::Path,
    process,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};

use crate::{
    Took,
    measure::{
        cpu::Threads,
        part::{Part, runtime},
        process_seconds,
    },
};

/// Nothing that the bench waits for takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A broker.
pub struct Target {
    pub address: String,
    pid: u32,
    topics: Cell<usize>,
    admin: AdminClient<DefaultClientContext>,
    looker: BaseConsumer,
}

impl Target {
    fn new(address: String, pid: u32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &address);
        Self {
            pid,
            topics: Cell::default(),
            admin: config.create().expect("a client"),
            looker: config.create().expect("a client"),
            address,
        }
    }

    /// The broker inside; it ends when the part is dropped.
    pub fn ours(dir: &Path) -> (Part, Self) {
        let mut part = Part::start(&["broker", &dir.display().to_string()]);
        let target = Self::new(part.line(), part.id());
        (part, target)
    }

    /// The Kafka that xtask started.
    pub fn kafka() -> Self {
        let variable = |name| env::var(name).expect("run it as `cargo xtask bench broker`");
        let pid = variable("EVENTOS_BENCH_KAFKA_PID");
        let pid = pid.parse().expect("a process id");
        Self::new(variable("EVENTOS_BENCH_KAFKA"), pid)
    }

    /// What `work` takes.
    pub fn time(&self, work: impl FnOnce()) -> Took {
        let (threads, client) = (Threads::of(self.pid), process_seconds());
        let began = Instant::now();
        work();
        Took {
            wall: began.elapsed().as_secs_f64(),
            client: process_seconds() - client,
            broker: threads.seconds_since(),
        }
    }

    /// A new topic, once every partition answers. A leader that the metadata names already may not
    /// yet know of it.
    pub fn create_topic(&self, partitions: usize) -> String {
        let number = self.topics.get();
        self.topics.set(number + 1);
        let name = format!("bench-{}-{number}", process::id());
        let partitions = i32::try_from(partitions).expect("few");
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new();
        let created = runtime().block_on(self.admin.create_topics([&new], &options));
        created.expect("an answer")[0].clone().expect("created");
        let began = Instant::now();
        for partition in 0..partitions {
            while let Err(error) = self.look(&name, partition) {
                assert!(
                    began.elapsed() < DEADLINE,
                    "{name} does not answer: {error}"
                );
            }
        }
        name
    }

    /// Asks the leader for something. The client waits long for a topic that it thinks unknown, so
    /// the metadata is fetched again each time.
    fn look(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        let wait = Duration::from_millis(500);
        self.looker.fetch_metadata(Some(topic), wait)?;
        self.looker.fetch_watermarks(topic, partition, wait)?;
        Ok(())
    }

    /// Makes room on the disk.
    pub fn delete_topic(&self, name: &str) {
        let options = AdminOptions::new();
        let deleted = runtime().block_on(self.admin.delete_topics(&[name], &options));
        deleted.expect("an answer")[0].clone().expect("deleted");
    }
}

/// How busy the machine is, as the system says it: over 1, 5 and 15 minutes.
pub fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").expect("Linux has it");
    let three: Vec<_> = load.split(' ').take(3).collect();
    three.join(" ")
}
