//! The broker from outside, through an ordinary client.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::OwnedMessage,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use super::provided;

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

/// Creates a topic.
pub fn create_topic(servers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("a client");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let created = admin.create_topics([&new], &AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let created = runtime.block_on(created).expect("answered");
    created[0].as_ref().expect("created");
}

/// Produces records and waits until all of them are acknowledged.
pub fn produce<'a>(servers: &str, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
    let producer: ThreadedProducer<DefaultProducerContext> = client(servers)
        .set("message.max.bytes", "20000000")
        .create()
        .expect("a client");
    for record in records {
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("queued");
    }
    producer.flush(super::DEADLINE).expect("acknowledged");
}

/// Everything that is in a topic now, partition by partition.
pub fn read_topic(servers: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "test-reader")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a client");
    let timeout = Duration::from_secs(10);
    let metadata = consumer
        .fetch_metadata(Some(topic), timeout)
        .expect("answered");
    let mut from = TopicPartitionList::new();
    let mut left = 0;
    for partition in metadata.topics()[0].partitions() {
        let watermarks = consumer.fetch_watermarks(topic, partition.id(), timeout);
        let (low, high) = watermarks.expect("answered");
        left += high - low;
        let offset = rdkafka::Offset::Beginning;
        from.add_partition_offset(topic, partition.id(), offset)
            .expect("added");
    }
    consumer.assign(&from).expect("assigned");
    let mut messages = Vec::new();
    while left > 0 {
        let message = consumer
            .poll(super::DEADLINE)
            .expect("in time")
            .expect("a message");
        messages.push(message.detach());
        left -= 1;
    }
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    messages
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}
