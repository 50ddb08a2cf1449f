//! A broker under examination, and what a check does with it. It does not know which of the two it is.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eventos_testkit::raw::Raw;
use eventos_testkit::{DEADLINE, Received, eventually, provided};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Settings of a client or a topic.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// A broker, with clients of it. Names of topics, groups and transactional ids are to come from [`Subject::name`],
/// since all checks share one Apache Kafka.
pub struct Subject {
    servers: String,
    admin: OnceCell<AdminClient<DefaultClientContext>>,
    runtime: Runtime,
    /// The built-in broker, which ends before its folder is removed.
    _broker: Option<eventos_broker::Broker>,
    _dir: Option<TempDir>,
}

impl Subject {
    /// The Apache Kafka that `cargo xtask test` started.
    pub fn kafka() -> Self {
        static AWAKE: Once = Once::new();
        let servers = provided("EVENTOS_TEST_KAFKA");
        AWAKE.call_once(|| Raw::connect(&servers).await_coordinators());
        Self {
            servers,
            admin: OnceCell::new(),
            runtime: runtime(),
            _broker: None,
            _dir: None,
        }
    }

    /// A new broker inside, set up as that Kafka is: topics that nobody describes have one partition.
    pub fn inside() -> Self {
        let dir = TempDir::with_prefix("eventos-conformance-").expect("a folder");
        let runtime = runtime();
        let config = eventos_broker::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            dir: dir.path().to_owned(),
            partitions: 1,
            ..eventos_broker::Config::default()
        };
        let broker = runtime.block_on(eventos_broker::Broker::start(config));
        let broker = broker.expect("a broker");
        let servers = broker.address().to_string();
        Self {
            servers,
            admin: OnceCell::new(),
            runtime,
            _broker: Some(broker),
            _dir: Some(dir),
        }
    }

    /// A name that nobody else has.
    pub fn name(&self, what: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("c{}-{number}-{what}", std::process::id())
    }

    /// A connection of its own for requests that librdkafka does not make.
    pub fn raw(&self) -> Raw {
        Raw::connect(&self.servers)
    }

    /// A client's settings.
    pub fn client(&self, settings: Settings<'_>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    /// The answer of a client that has no other way to wait for it.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let answer = async { tokio::time::timeout(DEADLINE, answer).await };
        self.runtime.block_on(answer).expect("in time")
    }

    /// The administrator.
    pub fn admin(&self) -> &AdminClient<DefaultClientContext> {
        let new = || self.client(&[]).create().expect("a client");
        self.admin.get_or_init(new)
    }

    /// A new topic, ready to be used.
    pub fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, &[])
    }

    /// A new topic with these settings, ready to be used.
    pub fn topic_with(&self, partitions: i32, settings: Settings<'_>) -> String {
        let name = self.name("t");
        self.create(&name, partitions, settings).expect("created");
        self.raw().await_leaders(&name, partitions);
        name
    }

    /// Creates a topic; answers the broker's verdict.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        settings: Settings<'_>,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        topic.config = settings.to_vec();
        let created = self.admin().create_topics([&topic], &AdminOptions::new());
        verdict(self.wait(created))
    }

    /// The settings of a topic, each with its value and where that is from.
    pub fn settings(&self, topic: &str) -> HashMap<String, (String, String)> {
        let of = [ResourceSpecifier::Topic(topic)];
        let described = self.admin().describe_configs(&of, &AdminOptions::new());
        let described = self.wait(described).expect("answered").remove(0);
        let entries = described.expect("described").entries.into_iter();
        let setting = |entry: ConfigEntry| {
            let value = entry.value.unwrap_or_default();
            (entry.name, (value, format!("{:?}", entry.source)))
        };
        entries.map(setting).collect()
    }

    /// A producer that waits for no company of its messages.
    pub fn producer(&self, settings: Settings<'_>) -> FutureProducer {
        let mut config = self.client(&[("linger.ms", "0")]);
        config.extend(settings.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        config.create().expect("a producer")
    }

    /// A producer of transactions that has fenced whoever had its id.
    pub fn transactional(&self, id: &str, settings: Settings<'_>) -> FutureProducer {
        let producer = self.producer(&[settings, &[("transactional.id", id)]].concat());
        producer.init_transactions(DEADLINE).expect("initialized");
        producer
    }

    /// Sends one message; answers its offset.
    pub fn send(
        &self,
        producer: &FutureProducer,
        record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<i64, RDKafkaErrorCode> {
        let sent = producer.send_result(record);
        let sent = sent.map_err(|(error, _)| code(&error))?;
        let delivered = self.wait(sent).expect("not cancelled");
        delivered.map(|d| d.offset).map_err(|(e, _)| code(&e))
    }

    /// Sends texts to a partition in one batch or several, as the producer likes.
    pub fn send_all(&self, producer: &FutureProducer, topic: &str, partition: i32, texts: &[&str]) {
        let sent: Vec<_> = texts
            .iter()
            .map(|text| {
                let record = FutureRecord::<[u8], str>::to(topic).payload(*text);
                let sent = producer.send_result(record.partition(partition));
                sent.map_err(|(error, _)| error).expect("queued")
            })
            .collect();
        for sent in sent {
            let delivered = self.wait(sent).expect("not cancelled");
            delivered.map_err(|(error, _)| error).expect("acknowledged");
        }
    }

    /// Sends texts to a partition.
    pub fn fill(&self, topic: &str, partition: i32, texts: &[&str]) {
        self.send_all(&self.producer(&[]), topic, partition, texts);
    }

    /// A consumer of a group, at the beginning of what it has not committed, that commits only when told to.
    pub fn consumer(&self, group: &str, settings: Settings<'_>) -> BaseConsumer {
        let own = [
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "100"),
            ("fetch.wait.max.ms", "100"),
        ];
        let mut config = self.client(&own);
        config.extend(settings.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        config.create().expect("a consumer")
    }

    /// All of a partition that may be seen with this isolation level.
    pub fn read(&self, topic: &str, partition: i32, isolation: &str) -> Vec<Received> {
        let settings = [("isolation.level", isolation)];
        let read = self.read_from(topic, partition, Offset::Beginning, &settings);
        read.expect("read")
    }

    /// All of a partition from there on, or why not.
    pub fn read_from(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        settings: Settings<'_>,
    ) -> Result<Vec<Received>, RDKafkaErrorCode> {
        let settings = [settings, &[("enable.partition.eof", "true")]].concat();
        let consumer = self.consumer(&self.name("reader"), &settings);
        consumer
            .assign(&at(topic, partition, from))
            .expect("assigned");
        let mut all = Vec::new();
        loop {
            match consumer.poll(DEADLINE).expect("in time") {
                Ok(message) => all.push(message.detach().into()),
                Err(KafkaError::PartitionEOF(_)) => return Ok(all),
                Err(error) => return Err(code(&error)),
            }
        }
    }

    /// The first offset and the next one of a partition.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        let consumer: BaseConsumer = self.client(&[]).create().expect("a client");
        let watermarks = consumer.fetch_watermarks(topic, partition, DEADLINE);
        watermarks.expect("answered")
    }

    /// The state of a group, and how many members it has; none if it is not listed.
    pub fn group(&self, name: &str) -> Option<(String, usize)> {
        let consumer: BaseConsumer = self.client(&[]).create().expect("a client");
        let groups = consumer.fetch_group_list(Some(name), DEADLINE);
        let groups = groups.expect("answered");
        let group = groups.groups().first()?;
        Some((group.state().to_owned(), group.members().len()))
    }

    /// Waits until the group is in this state with so many members.
    pub fn await_group(&self, name: &str, state: &str, members: usize) {
        let wanted = Some((state.to_owned(), members));
        eventually(&format!("{name} to be {wanted:?}"), || {
            (self.group(name) == wanted).then_some(())
        });
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}

/// The code of an error that has one.
pub fn code(error: &KafkaError) -> RDKafkaErrorCode {
    let code = error.rdkafka_error_code();
    code.unwrap_or_else(|| panic!("an error without a code: {error:?}"))
}

/// What an administrator was told about the one thing that it asked for.
pub fn verdict(results: KafkaResult<Vec<TopicResult>>) -> Result<(), RDKafkaErrorCode> {
    let result = results.expect("answered").remove(0);
    result.map(drop).map_err(|(_, code)| code)
}

/// One partition and an offset of it.
pub fn at(topic: &str, partition: i32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let added = list.add_partition_offset(topic, partition, offset);
    added.expect("added");
    list
}

/// A message to a topic, of which nothing else is set.
pub fn to(topic: &str) -> FutureRecord<'_, [u8], [u8]> {
    FutureRecord::to(topic)
}

/// The next message of a consumer, and no error before it.
pub fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    // A poll may end early with nothing, after a change of the group.
    let message = eventually("a message", || consumer.poll(Duration::from_secs(1)));
    message.expect("a message")
}

/// The values as texts.
pub fn texts(received: &[Received]) -> Vec<&str> {
    received.iter().map(Received::text).collect()
}
