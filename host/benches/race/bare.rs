//! Loops on librdkafka that do nothing with the records but count them or send them on: what is left for a stream processor to
//! gain.

use std::{process, time::Duration};

use eventos_testkit::wait::pause;
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, DefaultConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};

use crate::{contestants::Job, progress::Progress};

/// The settings of eventos' own consumer.
const CONSUMER: [(&str, &str); 4] = [
    ("auto.offset.reset", "earliest"),
    ("enable.auto.offset.store", "false"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "16384"),
];

const PRODUCER: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "262144"),
];

/// Polls with [`BaseConsumer`], and counts.
pub(crate) fn poll(job: &Job) {
    let consumer = consumer(job, DefaultConsumerContext);
    let mut progress = Progress::ready(&settings("BaseConsumer", &CONSUMER), job.events);
    consumer.subscribe(&[&job.topic]).expect("subscribed");
    let mut count = 0;
    while !progress.is_done() {
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            message.expect("a message");
            count += 1;
            progress.reached(count);
        }
    }
    progress.wait()
}

/// Polls with [`BaseConsumer`], and sends each record on with a [`ThreadedProducer`], to the partition with the same number.
pub(crate) fn produce(job: &Job) {
    let consumer = consumer(job, DefaultConsumerContext);
    let output = job.output.as_deref().expect("it sends everything on");
    let producer: ThreadedProducer<Reports> = config(job, &PRODUCER)
        .create_with_context(Reports)
        .expect("a producer");
    let settings = settings(
        "BaseConsumer and ThreadedProducer",
        &[&CONSUMER[..], &PRODUCER].concat(),
    );
    let mut progress = Progress::ready(&settings, job.events);
    consumer.subscribe(&[&job.topic]).expect("subscribed");
    let mut count = 0;
    while !progress.is_done() {
        let Some(message) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let message = message.expect("a message");
        let record = BaseRecord::<[u8], [u8]>::to(output).partition(message.partition());
        send(
            &producer,
            record.payload(message.payload().unwrap_or_default()),
        );
        count += 1;
        progress.reached(count);
    }
    progress.wait()
}

fn send(producer: &ThreadedProducer<Reports>, mut record: BaseRecord<'_, [u8], [u8]>) {
    while let Err((error, refused)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full, "the producer takes the record");
        record = refused;
        pause(Duration::from_millis(1));
    }
}

/// Ends the process if a record is not acknowledged.
struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("a record was not acknowledged: {error}");
            process::exit(1);
        }
    }
}

/// Creates a consumer for the group of the job.
pub(crate) fn consumer<C: ConsumerContext>(job: &Job, context: C) -> BaseConsumer<C> {
    let mut config = config(job, &CONSUMER);
    config.set("group.id", &job.group);
    config.create_with_context(context).expect("a consumer")
}

fn config(job: &Job, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &job.servers);
    for &(name, value) in settings {
        config.set(name, value);
    }
    config
}

/// Returns a line with the version of librdkafka and these settings.
pub(crate) fn settings(what: &str, settings: &[(&str, &str)]) -> String {
    let (_, version) = rdkafka::util::get_rdkafka_version();
    let settings: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("librdkafka {version}, {what}, {}", settings.join(", "))
}

/// Returns such a line for a consumer that is polled in this way.
pub(crate) fn consumer_settings(what: &str) -> String {
    settings(what, &CONSUMER)
}
