//! From a topic through the daemon to its output topic, at a fixed rate.

use std::{
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::measure::latencies::Latencies;
use rdkafka::{
    Message as _,
    producer::{BaseRecord, Producer as _},
};

use super::visible::{evento, prefix};
use crate::{
    load::{consumer_at_end, producer},
    schedule::Schedule,
};

/// Time after which a record is lost.
const DEADLINE: Duration = Duration::from_secs(60);

/// Produces to the first topic and consumes the second one. Returns the latencies, and the number of records in a second.
pub(super) fn measure(
    servers: &str,
    [topic, output]: [&str; 2],
    rate: u64,
    seconds: u64,
) -> (Latencies, f64) {
    let consumer = consumer_at_end(servers, output);
    let producer = producer(servers, 0);
    let (schedule, prefix) = (Schedule::begin(rate, seconds), prefix());
    let begins = format!(r#"{{"id":"{prefix}-"#);
    let topic = topic.to_owned();
    let clock = thread::spawn(move || {
        schedule.run(|i| {
            let value = evento(&format!("{prefix}-{i}"));
            // The partition is chosen here, since librdkafka would send all records of 10 ms to the same one.
            let record = BaseRecord::<(), _>::to(&topic).payload(&value);
            let record = record.partition((i % super::PARTITIONS as u64) as i32);
            producer
                .send(record)
                .map_err(|(error, _)| error)
                .expect("queued");
        });
        producer.flush(DEADLINE).expect("delivered");
    });
    let (mut latencies, mut last) = (Latencies::default(), Instant::now());
    while latencies.count() < schedule.count() {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            let left = schedule.count() - latencies.count();
            assert!(last.elapsed() < DEADLINE, "{left} records did not arrive");
            continue;
        };
        let message = message.expect("a record");
        last = Instant::now();
        let value = str::from_utf8(message.payload().unwrap_or_default()).expect("text");
        // Records of an earlier round that were sent again do not count.
        let number = value
            .strip_prefix(&begins)
            .and_then(|rest| rest.split_once('"'));
        if let Some((number, _)) = number {
            let due = schedule.due(number.parse().expect("a number"));
            latencies.record(last.saturating_duration_since(due));
        }
    }
    clock.join().expect("no panic");
    let elapsed = last.duration_since(schedule.start).as_secs_f64();
    (latencies, schedule.count() as f64 / elapsed)
}
