//! A topic full of Eventos, to consume.

use std::time::Duration;

use eventos::kafka::{self, Producer};

/// Sends so many Eventos of 100 bytes to the topic, which has so many partitions, and waits until all are acknowledged.
pub async fn preload(servers: &str, partitions: i32, eventos: u64) {
    let producer = Producer::new(&kafka::Config::default(), servers, |_| {}).expect("a producer");
    producer.set_partitions(partitions);
    let mut sent = Vec::new();
    for i in 0..eventos {
        let value = format!(r#"{{"id":"{i:08}","tipo":"sismo","place":"{:-<57}"}}"#, "");
        let delivery = loop {
            match producer.enqueue(None, value.as_bytes()) {
                Ok(delivery) => break delivery,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        sent.push(delivery);
    }
    for delivery in sent {
        delivery.await.expect("acknowledged");
    }
}
