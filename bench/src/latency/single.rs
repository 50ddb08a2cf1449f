//! One request at a time, next to a bare client of the same broker.

use std::time::{Duration, Instant};

use eventos_testkit::{
    create_topic,
    measure::{
        latencies::Latencies,
        part::runtime,
        report::{Report, Table},
    },
    wait::pause,
};
use rdkafka::{
    Message as _,
    consumer::BaseConsumer,
    producer::{FutureProducer, FutureRecord},
};

use super::{
    PARTITIONS, Subject,
    visible::{evento, prefix},
};
use crate::{
    connection::Connection,
    load::{client, consumer_at_end},
    options::Extent,
    world,
};

/// Requests of a kind in a row, before those of another kind.
const BLOCK: u64 = 100;

/// Time between two blocks, in which the daemon finishes what the last one left to do.
const PAUSE: Duration = Duration::from_millis(50);

/// Time after which a record is lost.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is measured, in this order.
const KINDS: [&str; 4] = [
    "POST /send",
    "bare FutureProducer, acks=all",
    "produce to consume, one in flight",
    "GET /messages/{id}",
];

const COLUMNS: [&str; 2] = ["p50, ms", "p99, ms"];

/// Measures on each broker in turn.
pub(super) fn compare(report: &mut Report, subjects: &[Subject], extent: Extent) {
    let mut figures: Vec<[[Vec<f64>; 2]; 4]> = vec![Default::default(); subjects.len()];
    let mut above: Vec<[Vec<f64>; 2]> = vec![Default::default(); subjects.len()];
    for subject in subjects {
        for topic in topics(subject) {
            create_topic(subject.storing.1.broker(), &topic, PARTITIONS);
        }
    }
    for round in 0..extent.rounds {
        for (i, subject) in subjects.iter().enumerate() {
            eprintln!("round {round}, {}, one at a time", subject.servers.name());
            let latencies = measure(subject, extent.events);
            for (column, quantile) in [0.5, 0.99].into_iter().enumerate() {
                let all = latencies.each_ref().map(|it| it.milliseconds(quantile));
                for (rounds, figure) in figures[i].iter_mut().zip(all) {
                    rounds[column].push(figure);
                }
                above[i][column].push(all[0] - all[1]);
            }
        }
    }
    let mut table = Table::new("one at a time", &COLUMNS);
    for ((subject, figures), above) in subjects.iter().zip(figures).zip(above) {
        let name = subject.servers.name();
        for (kind, columns) in KINDS.iter().zip(figures) {
            table.row(&format!("{name}: {kind}"), columns.into());
        }
        table.row(&format!("{name}: POST /send above bare"), above.into());
    }
    report.add(&table);
}

/// Returns the topic of the bare producer, and that of producer and consumer. The daemon reads neither.
fn topics(subject: &Subject) -> [String; 2] {
    ["bare", "relayed"].map(|suffix| format!("{}-{suffix}", subject.storing.0.name))
}

/// Measures one round: blocks of each kind in turn.
fn measure(subject: &Subject, events: u64) -> [Latencies; 4] {
    let (broker, [topic, relayed]) = (subject.storing.1.broker(), topics(subject));
    let producer: FutureProducer = client(broker)
        .set("linger.ms", "0")
        .set("acks", "all")
        .create()
        .expect("a producer");
    let consumer = consumer_at_end(broker, &relayed);
    let address = world::address(&subject.storing.1);
    let runtime = runtime();
    let mut connection = runtime.block_on(Connection::open(&address));
    let mut latencies: [Latencies; 4] = Default::default();
    let prefix = prefix();
    for i in 0..events.div_ceil(BLOCK) {
        for (kind, latencies) in latencies.iter_mut().enumerate() {
            for j in 0..BLOCK {
                let id = format!("{prefix}-{}", i * BLOCK + j);
                let value = evento(&id);
                let began = Instant::now();
                match kind {
                    0 => drop(runtime.block_on(connection.post("/send", value))),
                    1 => runtime.block_on(produce(&producer, &topic, &value)),
                    2 => relay(&producer, &consumer, &relayed, &value),
                    _ => {
                        let reply = runtime.block_on(connection.get(&format!("/messages/{id}")));
                        assert_eq!(reply.status, 200, "{id} is stored");
                    }
                }
                latencies.record(began.elapsed());
            }
            pause(PAUSE);
        }
    }
    latencies
}

async fn produce(producer: &FutureProducer, topic: &str, value: &str) {
    let record = FutureRecord::<(), _>::to(topic).payload(value);
    let delivered = producer.send(record, Duration::ZERO).await;
    delivered.map_err(|(error, _)| error).expect("delivered");
}

/// Produces a record and waits until the consumer has it.
fn relay(producer: &FutureProducer, consumer: &BaseConsumer, topic: &str, value: &str) {
    let record = FutureRecord::<(), _>::to(topic).payload(value);
    // The consumer sees whether it was delivered.
    let queued = producer.send_result(record);
    queued.map_err(|(error, _)| error).expect("queued");
    let message = consumer.poll(TIMEOUT).expect("in time");
    assert_eq!(message.expect("a record").payload(), Some(value.as_bytes()));
}
