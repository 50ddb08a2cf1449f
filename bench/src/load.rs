//! Clients of the broker that produce and consume for a bench.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use eventos_testkit::{DEADLINE, create_topic, partition_count};
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    producer::{
        BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult, Producer as _,
        ProducerContext, ThreadedProducer,
    },
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

/// Records in a row in the same partition.
const IN_A_ROW: u64 = 1_000;

/// Counts records that the broker has not accepted.
#[derive(Default)]
struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// Creates a topic, and fills it with Eventos whose ids are the numbers from 0.
pub(crate) fn fill(servers: &str, topic: &str, partitions: i32, bytes: usize, count: u64) {
    create_topic(servers, topic, partitions);
    let producer: BaseProducer<Failures> = client(servers)
        .set("linger.ms", "5")
        .set("acks", "all")
        .set("message.max.bytes", "2000000")
        .set("queue.buffering.max.messages", "200000")
        .create_with_context(Failures::default())
        .expect("a producer");
    for i in 0..count {
        let value = numbered(i, bytes);
        let partition = i / IN_A_ROW.min(count.div_ceil(64)) % partitions as u64;
        let record = BaseRecord::<(), _>::to(topic).payload(&value);
        let mut record = record.partition(partition as i32);
        while let Err((error, refused)) = producer.send(record) {
            let full = Some(RDKafkaErrorCode::QueueFull);
            assert_eq!(error.rdkafka_error_code(), full, "{error}");
            producer.poll(Duration::from_millis(10));
            record = refused;
        }
        if i % IN_A_ROW == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer
        .flush(DEADLINE)
        .expect("everything is sent in time");
    let failures = producer.context().0.load(Relaxed);
    assert_eq!(failures, 0, "records were refused");
}

/// Returns an Evento with this number as its id, of this many bytes or a few more. One of a thousand is rare.
pub(crate) fn numbered(i: u64, bytes: usize) -> String {
    let tipo = if i.is_multiple_of(1_000) {
        "rare"
    } else {
        "sismo"
    };
    let padding = "-".repeat(bytes.saturating_sub(42));
    format!(r#"{{"id":"{i:08}","tipo":"{tipo}","p":"{padding}"}}"#)
}
