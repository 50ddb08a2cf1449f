//! The broker as an ordinary Kafka client sees it.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    message::OwnedMessage,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::{Background, DEADLINE, eventually, provided};

/// How long one request that is repeated may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The broker that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The built-in broker.
    Embedded,
    /// The Apache Kafka that `cargo xtask test` has started.
    Kafka,
}

impl Broker {
    /// Returns the value for `kafka.bootstrap_servers`.
    #[must_use]
    pub fn servers(self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Kafka => provided("EVENTOS_TEST_KAFKA"),
        }
    }
}

/// Creates a topic that keeps everything, because tests produce records with timestamps that are years old.
pub fn create_topic(servers: &str, topic: &str, partitions: i32) {
    create_topic_with(servers, topic, partitions, &[]);
}

/// Creates a topic that keeps everything and has these settings too.
pub fn create_topic_with(servers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    // -1 means the broker's default replication factor.
    let replicas = TopicReplication::Fixed(-1);
    let mut new = NewTopic::new(topic, partitions, replicas).set("retention.ms", "-1");
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let created = block_on(admin(servers).create_topics([&new], &AdminOptions::new()));
    created.expect("the broker answers")[0]
        .as_ref()
        .expect("the topic is created");
}

/// Adds partitions to a topic until it has this number of them.
pub fn add_partitions(servers: &str, topic: &str, partitions: usize) {
    let new = NewPartitions::new(topic, partitions);
    let added = block_on(admin(servers).create_partitions([&new], &AdminOptions::new()));
    added.expect("the broker answers")[0]
        .as_ref()
        .expect("the partitions are added");
}

/// Replaces the settings of a topic.
pub fn alter_topic(servers: &str, topic: &str, settings: &[(&str, &str)]) {
    let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", "-1");
    for (name, value) in settings {
        altered = altered.set(name, value);
    }
    let result = block_on(admin(servers).alter_configs([&altered], &AdminOptions::new()));
    result.expect("the broker answers")[0]
        .as_ref()
        .expect("the settings are replaced");
}

/// Deletes a topic.
pub fn delete_topic(servers: &str, topic: &str) {
    let deleted = block_on(admin(servers).delete_topics(&[topic], &AdminOptions::new()));
    deleted.expect("the broker answers")[0]
        .as_ref()
        .expect("the topic is deleted");
}

/// Deletes a topic and creates another one with its name, which keeps everything.
pub fn recreate_topic(servers: &str, topic: &str, partitions: i32) {
    delete_topic(servers, topic);
    let replicas = TopicReplication::Fixed(-1);
    let new = NewTopic::new(topic, partitions, replicas).set("retention.ms", "-1");
    eventually(&format!("{topic} to be created again"), || {
        // Kafka deletes a topic in the background.
        let created = block_on(admin(servers).create_topics([&new], &AdminOptions::new()));
        created.expect("the broker answers")[0]
            .is_ok()
            .then_some(())
    });
    eventually(&format!("the metadata of the new {topic}"), || {
        (partition_count(servers, topic) == partitions).then_some(())
    });
}

/// Deletes the records of a partition before this offset.
pub fn delete_records(servers: &str, topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    let offset = rdkafka::Offset::Offset(before);
    let added = list.add_partition_offset(topic, partition, offset);
    added.expect("an offset");
    let deleted = block_on(admin(servers).delete_records(&list, &AdminOptions::new()));
    for one in deleted.expect("the broker answers").elements() {
        one.error().expect("the records are deleted");
    }
}

/// Commits this offset of each partition for a group without members.
pub fn commit_offsets(servers: &str, group: &str, topic: &str, offsets: &[i64]) {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", group)
        .create()
        .expect("a client");
    let mut list = TopicPartitionList::new();
    for (partition, &offset) in (0..).zip(offsets) {
        let offset = rdkafka::Offset::Offset(offset);
        let added = list.add_partition_offset(topic, partition, offset);
        added.expect("an offset");
    }
    let committed = consumer.commit(&list, CommitMode::Sync);
    committed.expect("the offsets are committed");
}

/// Produces records and waits until all of them are acknowledged.
pub fn produce<'a>(servers: &str, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
    let producer = TestProducer::new(servers);
    producer.send(records);
    producer.finish();
}

/// A producer for tests that send more than once.
pub struct TestProducer(ThreadedProducer<DefaultProducerContext>);

impl TestProducer {
    /// Creates a producer that sends to these servers.
    #[must_use]
    pub fn new(servers: &str) -> Self {
        let mut client = client(servers);
        client.set("message.max.bytes", "20000000");
        Self(client.create().expect("a client"))
    }

    /// Queues records, and does not wait for their acknowledgements.
    pub fn send<'a>(&self, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
        for record in records {
            let sent = self.0.send(record).map_err(|(error, _)| error);
            sent.expect("the record is queued");
        }
    }

    /// Waits until all records are acknowledged.
    pub fn finish(self) {
        self.0.flush(DEADLINE).expect("all are acknowledged");
    }
}

/// A member of a consumer group that takes its share of the partitions and does nothing with them. It leaves the group when this
/// is dropped.
pub struct IdleMember {
    _polling: Background<()>,
}

impl IdleMember {
    /// Joins a group of daemons, with this `client.id`.
    #[must_use]
    pub fn join(servers: &str, group: &str, topic: &str, client_id: &str) -> Self {
        let consumer: BaseConsumer = client(servers)
            .set("group.id", group)
            .set("client.id", client_id)
            // All members of a group have to use the same protocol, and the daemons use this one.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .create()
            .expect("a client");
        consumer.subscribe(&[topic]).expect("a valid topic");
        let polling = Background::start(move |stop| {
            while !stop.is_set() {
                let _ = consumer.poll(Duration::from_millis(50));
            }
            consumer.unsubscribe();
        });
        Self { _polling: polling }
    }
}

/// Reads every record of a topic that is committed by now, in the order of partition and offset.
#[must_use]
pub fn read_topic(servers: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a client");
    let mut from = TopicPartitionList::new();
    let mut unfinished: BTreeSet<_> = partitions(&consumer, topic).collect();
    for &partition in &unfinished {
        let offset = rdkafka::Offset::Beginning;
        from.add_partition_offset(topic, partition, offset)
            .expect("a valid offset");
    }
    consumer.assign(&from).expect("the partitions are assigned");
    let mut messages = Vec::new();
    while !unfinished.is_empty() {
        match consumer.poll(DEADLINE).expect("an answer in time") {
            Ok(message) => messages.push(message.detach()),
            Err(KafkaError::PartitionEOF(partition)) => {
                unfinished.remove(&partition);
            }
            Err(error) => panic!("{topic}: {error}"),
        }
    }
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    messages
}

/// Returns the number of partitions of a topic.
#[must_use]
pub fn partition_count(servers: &str, topic: &str) -> i32 {
    let consumer: BaseConsumer = client(servers).create().expect("a client");
    partitions(&consumer, topic).end
}

/// Returns the end offset of each partition of a topic: the offset of the next record.
#[must_use]
pub fn end_offsets(servers: &str, topic: &str) -> Vec<i64> {
    high_watermarks(servers, topic, "read_uncommitted")
}

/// Waits until a topic has no open transaction. If a producer was killed, the broker aborts its transaction only after the
/// transaction timeout, and until then readers of committed records do not get what lies behind it.
pub fn wait_until_settled(servers: &str, topic: &str) {
    eventually(&format!("the transactions of {topic} to end"), || {
        let committed = high_watermarks(servers, topic, "read_committed");
        (committed == end_offsets(servers, topic)).then_some(())
    });
}

fn high_watermarks(servers: &str, topic: &str, isolation: &str) -> Vec<i64> {
    let mut client = client(servers);
    let consumer: BaseConsumer = client
        .set("isolation.level", isolation)
        .create()
        .expect("a client");
    partitions(&consumer, topic)
        .map(|partition| {
            // In a cluster, the leader of the partition may be changing.
            eventually("the broker to answer", || {
                let watermarks = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
                watermarks.ok().map(|(_, end)| end)
            })
        })
        .collect()
}

/// Returns the committed offset of a group for each partition of a topic, or 0 where it has not committed.
#[must_use]
pub fn committed_offsets(servers: &str, group: &str, topic: &str) -> Vec<i64> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", group)
        .create()
        .expect("a client");
    let mut requested = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        requested.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(requested, DEADLINE);
    let offset = |offset: rdkafka::Offset| offset.to_raw().expect("an offset").max(0);
    committed
        .expect("the broker answers")
        .elements()
        .iter()
        .map(|one| offset(one.offset()))
        .collect()
}

/// Waits until a group has committed every record of a topic.
pub fn wait_until_committed(servers: &str, group: &str, topic: &str) {
    eventually(&format!("{group} to commit all of {topic}"), || {
        let ends = end_offsets(servers, topic);
        (committed_offsets(servers, group, topic) == ends).then_some(())
    });
}

/// Returns the state of a group and the number of its members, as its coordinator reports them.
#[must_use]
pub fn describe_group(servers: &str, name: &str) -> (String, usize) {
    let consumer: BaseConsumer = client(servers).create().expect("a client");
    let groups = consumer.fetch_group_list(Some(name), DEADLINE);
    let groups = groups.expect("the broker answers");
    let group = groups.groups().first();
    group.map_or_else(Default::default, |group| {
        (group.state().to_owned(), group.members().len())
    })
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> std::ops::Range<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE);
    let metadata = metadata.expect("the broker answers");
    let count = metadata.topics()[0].partitions().len();
    0..i32::try_from(count).expect("a small number")
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    client(servers).create().expect("a client")
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

fn block_on<T>(request: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(request)
}
