//! Filling a topic with Eventos, for the benches that consume.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};

use crate::wait::pause_async;

/// Length of a turn in which all Eventos go to one partition. They then fill few, large batches, as those do that the daemon
/// sends.
const TURN_MS: i64 = 10;

/// Sends `count` Eventos of 100 bytes each to a topic with this number of partitions, and waits until all are acknowledged.
pub async fn preload(servers: &str, topic: &str, partitions: i32, count: u64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()
        .expect("a producer");
    let mut deliveries = Vec::new();
    for i in 0..count {
        let value = format!(r#"{{"id":"{i:08}","tipo":"sismo","place":"{:-<57}"}}"#, "");
        let now = now_ms();
        let partition = i32::try_from(now / TURN_MS % i64::from(partitions)).expect("small");
        let record = FutureRecord::<[u8], _>::to(topic).payload(&value);
        let mut record = record.partition(partition).timestamp(now);
        let delivery = loop {
            match producer.send_result(record) {
                Ok(delivery) => break delivery,
                // The queue is full.
                Err((_, refused)) => {
                    record = refused;
                    pause_async(Duration::from_millis(1)).await;
                }
            }
        };
        deliveries.push(delivery);
    }
    for delivery in deliveries {
        let delivered = delivery.await.expect("the producer is still there");
        delivered.expect("the record is acknowledged");
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a time after 1970").as_millis();
    i64::try_from(now).expect("a time before the year 292,000,000")
}
