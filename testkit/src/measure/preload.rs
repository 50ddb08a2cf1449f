//! A topic full of Eventos, to consume.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};

/// For so long, the Eventos go to one partition: they then fill few, large batches, as those that the daemon sends.
const STICKY_MS: i64 = 10;

/// Sends so many Eventos of 100 bytes to the topic, which has so many partitions, and waits until all are acknowledged.
pub async fn preload(servers: &str, topic: &str, partitions: i32, eventos: u64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()
        .expect("a producer");
    let mut sent = Vec::new();
    for i in 0..eventos {
        let value = format!(r#"{{"id":"{i:08}","tipo":"sismo","place":"{:-<57}"}}"#, "");
        let now = now_ms();
        let partition = i32::try_from(now / STICKY_MS % i64::from(partitions)).expect("small");
        let record = FutureRecord::<[u8], _>::to(topic).payload(&value);
        let mut record = record.partition(partition).timestamp(now);
        let delivery = loop {
            match producer.send_result(record) {
                Ok(delivery) => break delivery,
                Err((_, back)) => {
                    record = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        sent.push(delivery);
    }
    for delivery in sent {
        delivery.await.expect("an answer").expect("acknowledged");
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_millis();
    i64::try_from(now).expect("before the year 292,000,000")
}
