//! A steady load of numbered Eventos, and the check of what came out of it.

use std::time::Duration;

use eventos_testkit::{Background, DEADLINE, StopFlag, read_topic, wait::pause};
use rdkafka::{
    ClientConfig, Message,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use super::PARTITIONS;

/// Time between two Eventos of a partition.
const PACE: Duration = Duration::from_millis(4);

/// Starts a thread that sends the Eventos 0, 1, 2 and so on to every partition until it is stopped. It then returns the number of
/// Eventos that it has sent to each partition.
pub(super) fn start(servers: &str, topic: &str) -> Background<Vec<i64>> {
    let topic = topic.to_owned();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .create()
        .expect("a client");
    Background::start(move |stop| send(&producer, &topic, stop))
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    stop: &StopFlag,
) -> Vec<i64> {
    let mut sent = 0;
    while !stop.is_set() {
        for partition in 0..PARTITIONS {
            let value = format!(r#"{{"id":{sent},"tipo":"t"}}"#);
            let record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
            let queued = producer.send(record.payload(value.as_bytes()));
            queued
                .map_err(|(error, _)| error)
                .expect("the record is queued");
        }
        sent += 1;
        pause(PACE);
    }
    producer.flush(DEADLINE).expect("all are acknowledged");
    vec![sent; PARTITIONS as usize]
}

/// Checks the order in the output topic: within a partition, a number is followed by the next one, or by one that was there
/// before, because the records after a committed offset are handled again. Returns the number of records that are there again.
pub(super) fn count_repeated(servers: &str, output: &str) -> usize {
    check_order(servers, output).1
}

/// Checks the order as [`count_repeated`] does, and also that everything that was sent is there. Returns the number of records
/// that are there again.
pub(super) fn check_complete(servers: &str, output: &str, sent: &[i64]) -> usize {
    let (next, repeated) = check_order(servers, output);
    assert_eq!(next, sent, "some are missing");
    repeated
}

/// Returns the next number of each partition, and the number of records that are there again.
fn check_order(servers: &str, output: &str) -> (Vec<i64>, usize) {
    let mut next = vec![0; PARTITIONS as usize];
    let mut last = vec![-1; PARTITIONS as usize];
    let mut repeated = 0;
    for message in read_topic(servers, output) {
        let partition = usize::try_from(message.partition()).expect("a valid partition");
        let value: serde_json::Value =
            serde_json::from_slice(message.payload().expect("a value")).expect("JSON");
        let number = value["id"].as_i64().expect("a number");
        assert!(
            number == last[partition] + 1 || number < next[partition],
            "in partition {partition}, {number} came after {}",
            last[partition]
        );
        last[partition] = number;
        if number < next[partition] {
            repeated += 1;
        } else {
            next[partition] = number + 1;
        }
    }
    (next, repeated)
}
