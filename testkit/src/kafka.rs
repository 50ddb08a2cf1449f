//! The broker from outside, through an ordinary client.

use std::collections::BTreeSet;

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::OwnedMessage,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::provided;

/// Which broker a suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The one inside.
    Embedded,
    /// The Apache Kafka that `cargo xtask test` started.
    Kafka,
}

impl Broker {
    /// As `kafka.bootstrap_servers` says it.
    pub fn servers(self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Kafka => provided("EVENTOS_TEST_KAFKA"),
        }
    }
}

/// Creates a topic that keeps everything: tests send records that are years old.
pub fn create_topic(servers: &str, topic: &str, partitions: i32) {
    create_topic_with(servers, topic, partitions, &[]);
}

/// Creates a topic that keeps everything, with more settings.
pub fn create_topic_with(servers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("a client");
    // -1: as many replicas as the broker gives to topics of which it is not said.
    let replicas = TopicReplication::Fixed(-1);
    let mut new = NewTopic::new(topic, partitions, replicas).set("retention.ms", "-1");
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let created = admin.create_topics([&new], &AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let created = runtime.block_on(created).expect("answered");
    created[0].as_ref().expect("created");
}

/// Adds partitions to a topic, so that it has so many.
pub fn add_partitions(servers: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("a client");
    let more = NewPartitions::new(topic, partitions);
    let added = admin.create_partitions([&more], &AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let added = runtime.block_on(added).expect("answered");
    added[0].as_ref().expect("added");
}

/// Deletes a topic.
pub fn delete_topic(servers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("a client");
    let deleted = [topic];
    let deleted = admin.delete_topics(&deleted, &AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let deleted = runtime.block_on(deleted).expect("answered");
    deleted[0].as_ref().expect("deleted");
}

/// Produces records and waits until all of them are acknowledged.
pub fn produce<'a>(servers: &str, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
    let load = Load::new(servers);
    load.send(records);
    load.finish();
}

/// A producer for who sends again and again.
pub struct Load(ThreadedProducer<DefaultProducerContext>);

impl Load {
    /// On these servers.
    pub fn new(servers: &str) -> Self {
        let mut client = client(servers);
        client.set("message.max.bytes", "20000000");
        Self(client.create().expect("a client"))
    }

    /// Puts records on their way.
    pub fn send<'a>(&self, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
        for record in records {
            let sent = self.0.send(record).map_err(|(error, _)| error);
            sent.expect("queued");
        }
    }

    /// Waits until all of them are acknowledged.
    pub fn finish(self) {
        self.0.flush(crate::DEADLINE).expect("acknowledged");
    }
}

/// Everything in a topic that is committed by now, partition by partition.
pub fn read_topic(servers: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a client");
    let mut from = TopicPartitionList::new();
    let mut open: BTreeSet<_> = partitions(&consumer, topic).collect();
    for &partition in &open {
        let offset = rdkafka::Offset::Beginning;
        from.add_partition_offset(topic, partition, offset)
            .expect("added");
    }
    consumer.assign(&from).expect("assigned");
    let mut messages = Vec::new();
    while !open.is_empty() {
        match consumer.poll(crate::DEADLINE).expect("in time") {
            Ok(message) => messages.push(message.detach()),
            Err(KafkaError::PartitionEOF(partition)) => {
                open.remove(&partition);
            }
            Err(error) => panic!("{topic}: {error}"),
        }
    }
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    messages
}

/// The next offset of each partition of a topic.
pub fn ends(servers: &str, topic: &str) -> Vec<i64> {
    ends_of(servers, topic, "read_uncommitted")
}

/// Waits until no transaction is open in a topic: the broker aborts those of a producer that was killed when their time is
/// over, and until then what comes after them does not count.
pub fn wait_until_settled(servers: &str, topic: &str) {
    let settled = || {
        let committed = ends_of(servers, topic, "read_committed");
        (committed == ends(servers, topic)).then_some(())
    };
    crate::eventually(&format!("the transactions of {topic} to end"), settled);
}

fn ends_of(servers: &str, topic: &str, isolation: &str) -> Vec<i64> {
    let mut client = client(servers);
    let consumer: BaseConsumer = client
        .set("isolation.level", isolation)
        .create()
        .expect("a client");
    partitions(&consumer, topic)
        .map(|partition| {
            let watermarks = consumer.fetch_watermarks(topic, partition, crate::DEADLINE);
            watermarks.expect("answered").1
        })
        .collect()
}

/// What a group has committed of each partition of a topic; 0 where it has not.
pub fn committed(servers: &str, group: &str, topic: &str) -> Vec<i64> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", group)
        .create()
        .expect("a client");
    let mut asked = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        asked.add_partition(topic, partition);
    }
    let answer = consumer.committed_offsets(asked, crate::DEADLINE);
    let answer = answer.expect("answered");
    let offset = |offset: rdkafka::Offset| offset.to_raw().expect("an offset").max(0);
    answer
        .elements()
        .iter()
        .map(|one| offset(one.offset()))
        .collect()
}

/// What a group's coordinator tells: its state, and how many members it has.
pub fn group(servers: &str, name: &str) -> (String, usize) {
    let consumer: BaseConsumer = client(servers).create().expect("a client");
    let groups = consumer.fetch_group_list(Some(name), crate::DEADLINE);
    let groups = groups.expect("answered");
    let group = groups.groups().first();
    group.map_or_else(Default::default, |group| {
        (group.state().to_owned(), group.members().len())
    })
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> impl Iterator<Item = i32> {
    let metadata = consumer.fetch_metadata(Some(topic), crate::DEADLINE);
    let count = metadata.expect("answered").topics()[0].partitions().len();
    0..i32::try_from(count).expect("few")
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}
