//! Clients of the broker that produce and consume for a bench.

use std::time::Duration;

use eventos_testkit::partition_count;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{DefaultProducerContext, ThreadedProducer},
};

/// Time after which a request to the broker has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the configuration of a client.
pub(crate) fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// Returns a producer that waits for this time, so that records share a request.
pub(crate) fn producer(servers: &str, linger_ms: u32) -> ThreadedProducer<DefaultProducerContext> {
    client(servers)
        .set("linger.ms", linger_ms.to_string())
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer")
}

/// Returns a consumer of all partitions of a topic that gets what is produced from now on.
pub(crate) fn consumer_at_end(servers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "500")
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    for partition in 0..partition_count(servers, topic) {
        let (_, end) = consumer
            .fetch_watermarks(topic, partition, TIMEOUT)
            .expect("the broker answers");
        from.add_partition_offset(topic, partition, Offset::Offset(end))
            .expect("a valid offset");
    }
    consumer.assign(&from).expect("the partitions are assigned");
    consumer
}
