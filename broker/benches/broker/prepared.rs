//! The client that costs almost nothing: its requests are prepared before the clock starts, and of the batches that it
//! fetches, it only decodes the headers.

use std::time::Instant;

use crate::{
    Load, Row, Took,
    target::Target,
    wire::{Connection, batch, fetch_request, produce_request},
};

/// The size of the values of one batch, about that of a batch of librdkafka under load.
const BATCH_BYTES: usize = 64_000;

/// The number of batches in a phase, a multiple of the largest number of partitions.
pub(crate) const BATCHES: usize = 64 * 16;

/// The number of produce requests in flight: the default of librdkafka with acks=all and idempotence.
const IN_FLIGHT: usize = 5;

/// Returns the number of messages in all batches of a phase.
pub(crate) fn messages(row: Row) -> usize {
    BATCHES * (BATCH_BYTES / row.bytes)
}

/// Measures the time from the first request to the last acknowledgement, on one connection.
pub(crate) fn produce(target: &Target, load: &Load) -> Took {
    let row = load.row;
    produce_batch(target, load, &batch(BATCH_BYTES / row.bytes, row.bytes))
}

/// Measures the same with another batch.
pub(crate) fn produce_batch(target: &Target, load: &Load, batch: &[u8]) -> Took {
    let request = |partition| produce_request(load.topic, partition, batch);
    let requests: Vec<_> = (0..load.row.partitions).map(request).collect();
    let mut connection = Connection::open(target);
    target.time(|| {
        for (sent, request) in requests.iter().cycle().take(BATCHES).enumerate() {
            if sent >= IN_FLIGHT {
                connection.acknowledged();
            }
            connection.send(request);
        }
        for _ in 0..IN_FLIGHT {
            connection.acknowledged();
        }
    })
}

/// Measures the time from the first request to the last message: one request at a time, for all partitions that
/// have not reached their end.
pub(crate) fn consume(target: &Target, load: &Load) -> Took {
    let mut connection = Connection::open(target);
    let mut next = vec![load.from; load.row.partitions];
    let end = load.from + (load.messages / load.row.partitions) as i64;
    let mut consumed = 0;
    target.time(|| {
        while consumed < load.messages {
            connection.send(&fetch_request(load.topic, &next, end));
            consumed += connection.fetched(&mut next);
        }
    })
}

/// Measures latencies with one message in flight: microseconds from its produce request to the response of a waiting
/// fetch.
pub(crate) fn latencies(target: &Target, load: &Load) -> Vec<f64> {
    let request = produce_request(load.topic, 0, &batch(1, load.row.bytes));
    let (mut producer, mut consumer) = (Connection::open(target), Connection::open(target));
    let mut next = [load.from];
    let mut one = |_| {
        consumer.send(&fetch_request(load.topic, &next, i64::MAX));
        let began = Instant::now();
        producer.send(&request);
        while consumer.fetched(&mut next) == 0 {
            consumer.send(&fetch_request(load.topic, &next, i64::MAX));
        }
        let latency = began.elapsed();
        producer.acknowledged();
        latency.as_secs_f64() * 1e6
    };
    (0..load.messages).map(&mut one).collect()
}
