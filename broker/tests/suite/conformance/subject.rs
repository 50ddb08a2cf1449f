//! The broker under test, and what a check does with it. A check does not know which of the two brokers it is.

use std::{
    cell::OnceCell,
    collections::HashMap,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use eventos_testkit::{DEADLINE, ReceivedRecord, eventually, provided, raw::Raw};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication,
        TopicResult,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
    producer::{FutureProducer, FutureRecord, Producer},
    types::RDKafkaErrorCode,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Settings of a client or a topic.
pub(super) type Settings<'a> = &'a [(&'a str, &'a str)];

/// A broker, with clients. Checks get the names of topics, groups and transactional ids from [`Subject::name`], because
/// all checks share one Apache Kafka.
pub(super) struct Subject {
    servers: String,
    admin: OnceCell<AdminClient<DefaultClientContext>>,
    runtime: Runtime,
    /// The built-in broker, which ends before its folder is removed.
    _broker: Option<eventos_broker::Broker>,
    _dir: Option<TempDir>,
}

impl Subject {
    /// Returns the Apache Kafka that `cargo xtask test` started.
    pub(super) fn kafka() -> Self {
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

    /// Starts a built-in broker with the settings of that Kafka: topics have one partition by default.
    pub(super) fn built_in() -> Self {
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

    /// Returns a unique name.
    pub(super) fn name(&self, what: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("c{}-{number}-{what}", std::process::id())
    }

    /// Opens a connection for requests that librdkafka does not make.
    pub(super) fn raw(&self) -> Raw {
        Raw::connect(&self.servers)
    }

    /// Returns the configuration of a client.
    pub(super) fn client(&self, settings: Settings<'_>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    /// Waits for the result of an asynchronous client.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let answer = async { tokio::time::timeout(DEADLINE, answer).await };
        self.runtime.block_on(answer).expect("in time")
    }

    /// Returns the admin client.
    pub(super) fn admin(&self) -> &AdminClient<DefaultClientContext> {
        let new = || self.client(&[]).create().expect("a client");
        self.admin.get_or_init(new)
    }

    /// Creates a topic.
    pub(super) fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, &[])
    }

    /// Creates a topic with settings.
    pub(super) fn topic_with(&self, partitions: i32, settings: Settings<'_>) -> String {
        let name = self.name("t");
        self.create(&name, partitions, settings).expect("created");
        self.raw().await_leaders(&name, partitions);
        name
    }

    /// Creates a topic; returns the verdict of the broker.
    pub(super) fn create(
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

    /// Returns the settings of a topic, each with its value and its source.
    pub(super) fn settings(&self, topic: &str) -> HashMap<String, (String, String)> {
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

    /// Returns a producer that sends each message at once.
    pub(super) fn producer(&self, settings: Settings<'_>) -> FutureProducer {
        let mut config = self.client(&[("linger.ms", "0")]);
        config.extend(settings.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        config.create().expect("a producer")
    }

    /// Returns a transactional producer, which has fenced earlier ones with the same id.
    pub(super) fn transactional(&self, id: &str, settings: Settings<'_>) -> FutureProducer {
        let producer = self.producer(&[settings, &[("transactional.id", id)]].concat());
        producer.init_transactions(DEADLINE).expect("initialized");
        producer
    }

    /// Sends one message; returns its offset.
    pub(super) fn send(
        &self,
        producer: &FutureProducer,
        record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<i64, RDKafkaErrorCode> {
        let sent = producer.send_result(record);
        let sent = sent.map_err(|(error, _)| code(&error))?;
        let delivered = self.wait(sent).expect("not cancelled");
        delivered.map(|d| d.offset).map_err(|(e, _)| code(&e))
    }

    /// Sends texts to a partition; the producer decides how many batches they make.
    pub(super) fn send_all(
        &self,
        producer: &FutureProducer,
        topic: &str,
        partition: i32,
        texts: &[&str],
    ) {
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
    pub(super) fn fill(&self, topic: &str, partition: i32, texts: &[&str]) {
        self.send_all(&self.producer(&[]), topic, partition, texts);
    }

    /// Returns a consumer of a group that reads from the beginning, and commits only on request.
    pub(super) fn consumer(&self, group: &str, settings: Settings<'_>) -> BaseConsumer {
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

    /// Reads a partition with an isolation level.
    pub(super) fn read(&self, topic: &str, partition: i32, isolation: &str) -> Vec<ReceivedRecord> {
        let settings = [("isolation.level", isolation)];
        let read = self.read_from(topic, partition, Offset::Beginning, &settings);
        read.expect("read")
    }

    /// Reads a partition from an offset on, or returns the error.
    pub(super) fn read_from(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        settings: Settings<'_>,
    ) -> Result<Vec<ReceivedRecord>, RDKafkaErrorCode> {
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

    /// Returns the first and the next offset of a partition.
    pub(super) fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        let consumer: BaseConsumer = self.client(&[]).create().expect("a client");
        let watermarks = consumer.fetch_watermarks(topic, partition, DEADLINE);
        watermarks.expect("answered")
    }

    /// Returns the state of a group and the number of its members, if the group is listed.
    pub(super) fn group(&self, name: &str) -> Option<(String, usize)> {
        let consumer: BaseConsumer = self.client(&[]).create().expect("a client");
        let groups = consumer.fetch_group_list(Some(name), DEADLINE);
        let groups = groups.expect("answered");
        let group = groups.groups().first()?;
        Some((group.state().to_owned(), group.members().len()))
    }

    /// Waits until a group has a state and a number of members.
    pub(super) fn await_group(&self, name: &str, state: &str, members: usize) {
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

/// Returns the code of an error.
pub(super) fn code(error: &KafkaError) -> RDKafkaErrorCode {
    let code = error.rdkafka_error_code();
    code.unwrap_or_else(|| panic!("an error without a code: {error:?}"))
}

/// Returns the result of an admin request for one thing.
pub(super) fn verdict(results: KafkaResult<Vec<TopicResult>>) -> Result<(), RDKafkaErrorCode> {
    let result = results.expect("answered").remove(0);
    result.map(drop).map_err(|(_, code)| code)
}

/// Returns a list with one partition and offset.
pub(super) fn at(topic: &str, partition: i32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let added = list.add_partition_offset(topic, partition, offset);
    added.expect("added");
    list
}

/// Returns an empty message for a topic.
pub(super) fn to(topic: &str) -> FutureRecord<'_, [u8], [u8]> {
    FutureRecord::to(topic)
}

/// Returns the next message of a consumer; panics if there is an error before it.
pub(super) fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    // After a rebalance, a poll may return early with nothing.
    let message = eventually("a message", || consumer.poll(Duration::from_secs(1)));
    message.expect("a message")
}

/// Returns the values as texts.
pub(super) fn texts(received: &[ReceivedRecord]) -> Vec<&str> {
    received.iter().map(ReceivedRecord::text).collect()
}
