//! Filling a topic with Eventos, for the benches that consume.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};

use crate::wait::pause_async;

/// Length of a turn in which all Eventos go to one partition. They then fill few, large batches, as those do that the daemon
/// sends.
const TURN_MS: i64 = 10;

/// Maximum number of records that wait for their acknowledgement.
const MAX_IN_FLIGHT: usize = 100_000;

/// Creates topics with this number of partitions. Kafka itself would create topics with one partition.
///
/// # Panics
/// Panics if a topic exists already, or the broker does not create it.
pub async fn create_topics(servers: &str, topics: &[&str], partitions: i32) {
    let new = topics
        .iter()
        .map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(1)));
    let new: Vec<_> = new.collect();
    let created = admin(servers)
        .create_topics(&new, &AdminOptions::new())
        .await;
    for topic in created.expect("the broker responds") {
        topic.expect("the topic is created");
    }
}

/// Deletes a topic, so that what it holds takes no room while other parts are measured.
///
/// # Panics
/// Panics if the broker does not respond.
pub async fn delete_topic(servers: &str, topic: &str) {
    let options = AdminOptions::new();
    let deleted = admin(servers).delete_topics(&[topic], &options).await;
    deleted.expect("the broker responds");
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    let client = config.set("bootstrap.servers", servers).create();
    client.expect("a client")
}

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
        if deliveries.len() == MAX_IN_FLIGHT {
            wait_for(&mut deliveries).await;
        }
    }
    wait_for(&mut deliveries).await;
}

async fn wait_for(deliveries: &mut Vec<DeliveryFuture>) {
    for delivery in deliveries.drain(..) {
        let delivered = delivery.await.expect("the producer is still there");
        delivered.expect("the record is acknowledged");
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a time after 1970").as_millis();
    i64::try_from(now).expect("a time before the year 292,000,000")
}
