//! `cargo xtask bench broker`: the broker inside beside Apache Kafka, in turn within one run. For
//! each of [`ROWS`] how fast a client produces (acks=all) and consumes, and what CPU time that
//! costs the broker's process; then how long one message takes from produce to consume.
//!
//! Each is measured with two clients. librdkafka is what users have, and on a small machine it may
//! be slower than either broker. So a second client sends batches that are prepared before the
//! clock starts, and looks at no record: what it measures is the broker.
//!
//! The broker inside is a process of its own that does nothing else, as Kafka is: within the daemon
//! its CPU time could not be told from that of the pipeline. The folders of both are temporary
//! ones on the same disk.

mod librdkafka;
#[path = "../measure/mod.rs"]
mod measure;
mod prepared;
mod report;
mod target;
mod wire;

use std::{env, path::Path, time::Instant};

use measure::part;
use report::{Results, print_latencies, print_rows};
use target::Target;

/// Rounds that count, and those before them, in which the JVM compiles what is hot.
const ROUNDS: usize = 5;
const WARM_UP: usize = 2;

/// Messages of one latency round, one in flight, and before the first round to either broker.
const LATENCY_MESSAGES: usize = 1_000;
const LATENCY_WARM_UP: usize = 10_000;

/// What is produced and consumed in one go.
#[derive(Clone, Copy)]
pub struct Row {
    /// Of a value; there are no keys and no headers.
    pub bytes: usize,
    pub partitions: usize,
}

const ROWS: [Row; 6] = [
    row(100, 1),
    row(100, 4),
    row(100, 64),
    row(1_000, 1),
    row(1_000, 4),
    row(1_000, 64),
];

const fn row(bytes: usize, partitions: usize) -> Row {
    Row { bytes, partitions }
}

/// Who produces and consumes.
#[derive(Clone, Copy)]
pub enum Client {
    Librdkafka,
    Prepared,
}

impl Client {
    const ALL: [Client; 2] = [Client::Librdkafka, Client::Prepared];

    /// How many messages make a phase of some tenths of a second.
    fn messages(self, row: Row) -> usize {
        match self {
            Client::Librdkafka if row.bytes < 1_000 => 500_000,
            Client::Librdkafka => 100_000,
            Client::Prepared => prepared::messages(row),
        }
    }
}

/// What one way through a row took, in seconds.
#[derive(Clone, Copy)]
pub struct Took {
    pub wall: f64,
    /// CPU time of the broker's process.
    pub broker: f64,
    /// CPU time of the client, this process.
    pub client: f64,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => part::broker(Path::new(dir)),
        _ => compare(),
    }
}

fn compare() {
    let began = Instant::now();
    let dir = tempfile::tempdir().expect("a folder");
    let (_part, ours) = Target::ours(dir.path());
    let targets = [ours, Target::kafka()];
    println!("load average at the start: {}", target::load_average());
    eprintln!("warming up: {LATENCY_WARM_UP} messages one by one, {WARM_UP} rounds");
    for target in &targets {
        for client in Client::ALL {
            latencies(client, target, LATENCY_WARM_UP);
        }
    }
    let mut results = Results::default();
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            results = Results::default();
        }
        measure_round(round, &targets, &mut results);
        let seconds = began.elapsed().as_secs();
        eprintln!(
            "round {} of {} done after {seconds} s",
            round + 1,
            WARM_UP + ROUNDS
        );
    }
    for client in Client::ALL {
        print_rows(client, &results);
    }
    print_latencies(&results);
    println!("load average at the end: {}", target::load_average());
}

/// Everything once, each thing on both brokers before the next; every other round Kafka is first.
fn measure_round(round: usize, targets: &[Target; 2], results: &mut Results) {
    let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
    for client in Client::ALL {
        for (i, row) in ROWS.into_iter().enumerate() {
            for which in order {
                let took = throughput(client, &targets[which], row);
                results.add(client, i, which, took);
            }
        }
        for which in order {
            let latencies = latencies(client, &targets[which], LATENCY_MESSAGES);
            results.add_latencies(client, which, latencies);
        }
    }
}

/// Producing into a new topic, then consuming it.
fn throughput(client: Client, target: &Target, row: Row) -> [Took; 2] {
    let topic = target.create_topic(row.partitions);
    let messages = client.messages(row);
    let took = match client {
        Client::Librdkafka => [
            librdkafka::produce(target, &topic, row, messages),
            librdkafka::consume(target, &topic, row, messages),
        ],
        Client::Prepared => [
            prepared::produce(target, &topic, row, messages),
            prepared::consume(target, &topic, row, messages),
        ],
    };
    target.delete_topic(&topic);
    took
}

/// Microseconds from produce to consume, of each message.
fn latencies(client: Client, target: &Target, messages: usize) -> Vec<f64> {
    let topic = target.create_topic(1);
    let latencies = match client {
        Client::Librdkafka => librdkafka::latencies(target, &topic, messages),
        Client::Prepared => prepared::latencies(target, &topic, messages),
    };
    target.delete_topic(&topic);
    latencies
}
