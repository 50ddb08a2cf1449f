//! What is sent all the time, and what must have become of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use eventos_testkit::{DEADLINE, read_topic};
use rdkafka::{
    ClientConfig, Message,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use super::PARTITIONS;

/// Numbers to every partition, each one more than the one before, until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    sender: thread::JoinHandle<Vec<i64>>,
}

impl Load {
    pub fn start(servers: &str, topic: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (Arc::clone(&stop), topic.to_owned());
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("enable.idempotence", "true")
            .create()
            .expect("a client");
        let sender = thread::spawn(move || send(&producer, &topic, &stopped));
        Self { stop, sender }
    }

    /// Stops, and answers how many went to each partition.
    pub fn stop(self) -> Vec<i64> {
        self.stop.store(true, Relaxed);
        self.sender.join().expect("no panic")
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    stopped: &AtomicBool,
) -> Vec<i64> {
    let mut sent = 0;
    while !stopped.load(Relaxed) {
        for partition in 0..PARTITIONS {
            let value = format!(r#"{{"id":{sent},"tipo":"t"}}"#);
            let record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
            let queued = producer.send(record.payload(value.as_bytes()));
            queued.map_err(|(error, _)| error).expect("queued");
        }
        sent += 1;
        // A pace, not a wait: some thousand a second.
        thread::sleep(Duration::from_millis(4));
    }
    producer.flush(DEADLINE).expect("acknowledged");
    vec![sent; PARTITIONS as usize]
}

/// How many records came out more than once so far. Fails unless in each partition after a number came only the next, or
/// one that had come before: handled again from a committed offset on.
pub fn came_again(servers: &str, output: &str) -> usize {
    look(servers, output).1
}

/// Fails too if anything that was sent is missing.
pub fn judge(servers: &str, output: &str, sent: &[i64]) -> usize {
    let (next, again) = look(servers, output);
    assert_eq!(next, sent, "some are missing");
    again
}

/// The next number of each partition, and how many came again.
fn look(servers: &str, output: &str) -> (Vec<i64>, usize) {
    let mut next = vec![0; PARTITIONS as usize];
    let mut last = vec![-1; PARTITIONS as usize];
    let mut again = 0;
    for message in read_topic(servers, output) {
        let partition = usize::try_from(message.partition()).expect("one of a few");
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
            again += 1;
        } else {
            next[partition] = number + 1;
        }
    }
    (next, again)
}
