//! `cargo xtask bench broker`: compares the built-in broker with Apache Kafka, in turn within one run. Measures for each
//! of [`ROWS`] how fast a client produces (acks=all) and consumes, and the CPU time of the broker process; then how long
//! one message takes from produce to consume; and what it costs to check the records of produced batches.
//!
//! There are two clients. librdkafka is the one that users have, but on a small machine it may be slower than either
//! broker. So a second client sends batches that are prepared before the clock starts, and decodes no records: with it,
//! the bench measures the broker.
//!
//! The built-in broker runs in a process of its own, as Kafka does: in the daemon, its CPU time could not be separated
//! from that of the pipeline. The folders of both brokers are temporary ones on the same disk, and grow to 8 GB each.

mod checking;
mod librdkafka;
mod prepared;
mod report;
mod target;
mod wire;

use std::{env, path::Path, time::Instant};

use eventos_testkit::measure::part;

use report::{Results, print_latencies, print_rows};
use target::Target;

/// Number of measured rounds, and of rounds before them, in which the JVM compiles its hot code.
const ROUNDS: usize = 7;
const WARM_UP: usize = 3;

/// Number of messages in a latency round, one in flight, and before the first round of each broker.
const LATENCY_MESSAGES: usize = 1_000;
const LATENCY_WARM_UP: usize = 10_000;

/// The size of messages and the number of partitions.
#[derive(Clone, Copy)]
pub struct Row {
    /// The size of a value in bytes; keys and headers are empty.
    pub bytes: usize,
    /// The number of partitions of the topic.
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

const LATENCY: Row = row(100, 1);

const fn row(bytes: usize, partitions: usize) -> Row {
    Row { bytes, partitions }
}

/// The client that produces and consumes.
#[derive(Clone, Copy)]
pub enum Client {
    /// The client that users have.
    Librdkafka,
    /// A client with prepared batches, which costs almost nothing.
    Prepared,
}

impl Client {
    const ALL: [Client; 2] = [Client::Librdkafka, Client::Prepared];

    /// Returns the number of messages of a phase of some tenths of a second, the same for every partition.
    fn messages(self, row: Row) -> usize {
        match self {
            Client::Librdkafka if row.bytes < 1_000 => 1 << 19,
            Client::Librdkafka => 1 << 16,
            Client::Prepared => prepared::messages(row),
        }
    }
}

/// Messages that are appended to the partitions of a topic in turn, and then consumed.
pub struct Load<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The size of the messages and the number of partitions.
    pub row: Row,
    /// The number of messages over all partitions.
    pub messages: usize,
    /// The offset of the first message in every partition.
    pub from: i64,
}

/// The duration of a phase, in seconds.
#[derive(Clone, Copy)]
pub struct Took {
    /// The wall time from the first to the last message.
    pub wall: f64,
    /// The CPU time of the broker process.
    pub broker: f64,
    /// The CPU time of the client, which is this process.
    pub client: f64,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => part::serve_broker(Path::new(dir)),
        // Only this part, which takes a minute.
        ["checking", ..] => {
            let dir = tempfile::tempdir().expect("a folder");
            let (_part, ours) = Target::ours(dir.path());
            checking::compare([&ours, &Target::kafka()]);
        }
        _ => compare(),
    }
}

fn compare() {
    let began = Instant::now();
    let dir = tempfile::tempdir().expect("a folder");
    let (_part, ours) = Target::ours(dir.path());
    let mut sides = [Side::new(ours), Side::new(Target::kafka())];
    println!("load average at the start: {}", target::load_average());
    eprintln!("warming up: {LATENCY_WARM_UP} messages one by one, {WARM_UP} rounds");
    for side in &mut sides {
        for client in Client::ALL {
            side.latencies(client, LATENCY_WARM_UP);
        }
    }
    let mut results = Results::default();
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            results = Results::default();
        }
        measure_round(round, &mut sides, &mut results);
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
    let [ours, kafka] = &sides;
    checking::compare([&ours.target, &kafka.target]);
    println!("load average at the end: {}", target::load_average());
}

/// Measures everything once, each thing on both brokers before the next. Kafka is first in every other round.
fn measure_round(round: usize, sides: &mut [Side; 2], results: &mut Results) {
    let order = if round.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    };
    for client in Client::ALL {
        for i in 0..ROWS.len() {
            for which in order {
                let took = sides[which].throughput(client, i);
                results.add(client, i, which, took);
            }
        }
        for which in order {
            let latencies = sides[which].latencies(client, LATENCY_MESSAGES);
            results.add_latencies(client, which, latencies);
        }
    }
}

/// A broker and its topics, which stay for the whole run: the first round of the warm-up does everything that a broker
/// does once per partition.
struct Side {
    target: Target,
    /// A topic for each row, and one for latencies.
    topics: Vec<Topic>,
}

struct Topic {
    name: String,
    row: Row,
    /// The offset of the next message in every partition.
    next: i64,
}

impl Side {
    fn new(target: Target) -> Self {
        let rows = ROWS.into_iter().chain([LATENCY]);
        let topic = |(i, row): (usize, Row)| Topic {
            name: target.create_topic(i, row.partitions),
            row,
            next: 0,
        };
        let topics = rows.enumerate().map(topic).collect();
        Self { target, topics }
    }

    /// Produces messages, then consumes them.
    fn throughput(&mut self, client: Client, row: usize) -> [Took; 2] {
        let topic = &mut self.topics[row];
        let load = topic.load(client.messages(topic.row));
        match client {
            Client::Librdkafka => [
                librdkafka::produce(&self.target, &load),
                librdkafka::consume(&self.target, &load),
            ],
            Client::Prepared => [
                prepared::produce(&self.target, &load),
                prepared::consume(&self.target, &load),
            ],
        }
    }

    /// Measures the latency of each message from produce to consume, in microseconds.
    fn latencies(&mut self, client: Client, messages: usize) -> Vec<f64> {
        let load = self.topics[ROWS.len()].load(messages);
        match client {
            Client::Librdkafka => librdkafka::latencies(&self.target, &load),
            Client::Prepared => prepared::latencies(&self.target, &load),
        }
    }
}

impl Topic {
    /// Returns the next load, which must be produced before another one.
    fn load(&mut self, messages: usize) -> Load<'_> {
        let from = self.next;
        self.next += (messages / self.row.partitions) as i64;
        Load {
            topic: &self.name,
            row: self.row,
            messages,
            from,
        }
    }
}
