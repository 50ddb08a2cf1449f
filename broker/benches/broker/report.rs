//! The results, and how they are printed.

use eventos_testkit::measure::Figures;

use crate::{Client, ROUNDS, ROWS, Row, Took};

/// The goals: the throughput relative to that of Kafka, at least, and the latency, at most.
const GOAL_THROUGHPUT: f64 = 1.0;
const GOAL_LATENCY: f64 = 0.1;

const BROKERS: [&str; 2] = ["eventos", "Kafka"];
const WAYS: [&str; 2] = ["produce", "consume"];

/// The results of all rounds.
#[derive(Default)]
pub(crate) struct Results {
    /// Indexed by client, row, direction and broker, in the order of [`BROKERS`].
    rows: [[[[Vec<Took>; 2]; 2]; ROWS.len()]; 2],
    /// Percentiles 50 and 99 in microseconds, indexed by percentile, client and broker.
    latencies: [[[Vec<f64>; 2]; 2]; 2],
}

impl Results {
    /// Adds the durations of one round of a row on a broker, by direction.
    pub(crate) fn add(&mut self, client: Client, row: usize, broker: usize, took: [Took; 2]) {
        for (way, took) in took.into_iter().enumerate() {
            self.rows[client as usize][row][way][broker].push(took);
        }
    }

    /// Adds the latencies of one round.
    pub(crate) fn add_latencies(&mut self, client: Client, broker: usize, mut latencies: Vec<f64>) {
        latencies.sort_by(f64::total_cmp);
        for (i, percent) in [50, 99].into_iter().enumerate() {
            let at = latencies.len() * percent / 100;
            self.latencies[i][client as usize][broker].push(latencies[at]);
        }
    }
}

/// Prints throughput and CPU time, a block per row.
pub(crate) fn print_rows(client: Client, results: &Results) {
    println!("\nthroughput, {}", title(client));
    println!("medians of {ROUNDS} rounds (least to greatest)\n");
    println!(
        "                            thousand messages/s           MB/s   \
         broker's CPU, us a message   client's"
    );
    for (row, results) in ROWS.iter().zip(&results.rows[client as usize]) {
        for (way, brokers) in WAYS.iter().zip(results) {
            let plural = if row.partitions == 1 { "" } else { "s" };
            println!(
                "{way}, {} bytes, {} partition{plural}",
                row.bytes, row.partitions
            );
            print_row(*row, client.messages(*row) as f64, brokers);
        }
    }
}

fn print_row(row: Row, messages: f64, brokers: &[Vec<Took>; 2]) {
    let each = |of: fn(&Took) -> f64| -> [Vec<f64>; 2] {
        [0, 1].map(|broker: usize| brokers[broker].iter().map(of).collect())
    };
    let (wall, broker, client) = (each(|t| t.wall), each(|t| t.broker), each(|t| t.client));
    for (i, name) in BROKERS.iter().enumerate() {
        let rate = wall[i].iter().map(|wall| messages / wall / 1e3).collect();
        let rate = Figures::new(rate);
        let megabytes = rate.median() * row.bytes as f64 / 1e3;
        let us =
            |seconds: &[f64]| Figures::new(seconds.iter().map(|s| s * 1e6 / messages).collect());
        let (broker, client) = (us(&broker[i]), us(&client[i]).median());
        let rate = rate.to_string();
        println!("  {name:16} {rate:32} {megabytes:9.1}   {broker}   {client:9.2}");
    }
    // A rate is the inverse of its time.
    let rate = Figures::ratios(&wall[1], &wall[0]);
    let (met, rate_text) = (rate.median() >= GOAL_THROUGHPUT, rate.to_string());
    let cpu = Figures::ratios(&broker[0], &broker[1]);
    println!("  {:16} {rate_text:44} {cpu}", "eventos / Kafka");
    println!(
        "  {:16} at least {GOAL_THROUGHPUT}: {}",
        "goal",
        verdict(met)
    );
}

/// Prints the percentiles with one message in flight.
pub(crate) fn print_latencies(results: &Results) {
    println!("\nus from produce to consume, one message in flight");
    println!("medians of {ROUNDS} rounds (least to greatest)\n");
    for client in [Client::Librdkafka, Client::Prepared] {
        println!("{}", title(client));
        for (percentile, clients) in ["p50", "p99"].iter().zip(&results.latencies) {
            let brokers = &clients[client as usize];
            for (name, rounds) in BROKERS.iter().zip(brokers) {
                println!("  {percentile} {name:16} {}", Figures::new(rounds.clone()));
            }
            let ratio = Figures::ratios(&brokers[0], &brokers[1]);
            let met = verdict(ratio.median() <= GOAL_LATENCY);
            println!(
                "  {percentile} {:16} {ratio}   goal: at most {GOAL_LATENCY}: {met}",
                "eventos / Kafka"
            );
        }
    }
}

fn title(client: Client) -> &'static str {
    match client {
        Client::Librdkafka => "librdkafka",
        Client::Prepared => "prepared batches",
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
