//! The client that users have. Both brokers get the same settings: the defaults of librdkafka, except for those
//! named here.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use crate::{
    Load, Took,
    target::{DEADLINE, Target},
};

/// How long a batch waits for more messages: the default of librdkafka, and not at all with one message in
/// flight.
const LINGER: &str = "5";
const NO_LINGER: &str = "0";

/// Measures the time from the first message given to the client to the last acknowledgement.
pub(crate) fn produce(target: &Target, load: &Load) -> Took {
    let producer = producer(target, load.topic, LINGER);
    let value = vec![b'x'; load.row.bytes];
    target.time(|| {
        for i in 0..load.messages {
            let partition = (i % load.row.partitions) as i32;
            send(&producer, load.topic, partition, &value);
        }
        let began = Instant::now();
        while producer.context().delivered() < load.messages {
            producer.poll(Duration::from_millis(10));
            assert!(began.elapsed() < DEADLINE, "not acknowledged");
        }
    })
}

/// Measures the time from the assignment of all partitions to the last message.
pub(crate) fn consume(target: &Target, load: &Load) -> Took {
    let consumer = consumer(target, load.topic);
    target.time(|| {
        assign(&consumer, load);
        for _ in 0..load.messages {
            let message = consumer.poll(DEADLINE).expect("a message in time");
            let message = message.expect("no error");
            assert_eq!(message.payload_len(), load.row.bytes);
        }
    })
}

/// Measures latencies with one message in flight: microseconds from the call that sends it until the consumer has
/// it. The first one includes the start of the fetch.
pub(crate) fn latencies(target: &Target, load: &Load) -> Vec<f64> {
    let producer = producer(target, load.topic, NO_LINGER);
    let consumer = consumer(target, load.topic);
    let value = vec![b'x'; load.row.bytes];
    assign(&consumer, load);
    let one = |_| {
        let began = Instant::now();
        send(&producer, load.topic, 0, &value);
        let message = consumer.poll(DEADLINE).expect("a message in time");
        message.expect("no error");
        let latency = began.elapsed();
        producer.poll(Duration::ZERO);
        latency.as_secs_f64() * 1e6
    };
    (0..load.messages).map(one).collect()
}

/// Counts acknowledgements.
struct Deliveries(AtomicUsize);

impl Deliveries {
    fn delivered(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        assert!(delivery.is_ok(), "refused: {delivery:?}");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns a producer that is connected.
fn producer(target: &Target, topic: &str, linger: &str) -> BaseProducer<Deliveries> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &target.address)
        .set("acks", "all")
        .set("linger.ms", linger);
    let producer: BaseProducer<_> = config
        .create_with_context(Deliveries(AtomicUsize::new(0)))
        .expect("a producer");
    let metadata = producer.client().fetch_metadata(Some(topic), DEADLINE);
    metadata.expect("metadata");
    producer
}

fn send(producer: &BaseProducer<Deliveries>, topic: &str, partition: i32, value: &[u8]) {
    let record = BaseRecord::<(), [u8]>::to(topic);
    let mut record = record.partition(partition).payload(value);
    while let Err((error, back)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full);
        record = back;
        producer.poll(Duration::from_millis(1));
    }
}

/// Returns a consumer that is connected. Like eventos, it changes one setting for speed: by default, fetching stops
/// for a second whenever the queue is full.
fn consumer(target: &Target, topic: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &target.address)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "2");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE);
    metadata.expect("metadata");
    consumer
}

/// Assigns all partitions from the first offset of the load on.
fn assign(consumer: &BaseConsumer, load: &Load) {
    let mut list = TopicPartitionList::new();
    for partition in 0..load.row.partitions {
        let from = Offset::Offset(load.from);
        let added = list.add_partition_offset(load.topic, partition as i32, from);
        added.expect("an offset");
    }
    consumer.assign(&list).expect("assigned");
}
