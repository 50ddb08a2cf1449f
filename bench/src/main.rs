//! `cargo xtask bench NAME`, for the benches that measure a daemon from outside: a release build in a process of its own, next to
//! a real Kafka and to what it has to be compared with. `docs/performance.md` says what each measures.
//!
//! One module per bench, and modules that they share: [`world`] starts daemons and brokers, [`connection`] sends HTTP requests,
//! [`schedule`] spaces them in time, and [`load`] fills topics.

mod connection;
mod latency;
mod load;
mod options;
mod produce;
mod query;
mod scale;
mod schedule;
mod start;
mod world;

use std::path::PathBuf;

use clap::Parser;
use eventos_testkit::measure::part::serve_broker;

use options::Options;

/// Measures a daemon of eventos; run it as `cargo xtask bench NAME`
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Bench {
    /// From a sent Evento to its acknowledgement, to `GET /messages/{id}`, and to the output topic
    Latency(Options),
    /// `POST /send` and `/send/batch`, next to a bare server and the Python prototype
    Produce(Options),
    /// `GET /messages` while Eventos come in
    Query(Options),
    /// The cost and the memory of an Evento when one thing changes: cores, partitions, sizes, handlers, how many are behind
    Scale(Options),
    /// The size of the program, the time to start, and what it uses at rest
    Start(Options),
    /// Serve the built-in broker, as a part of a bench
    #[command(hide = true)]
    ServeBroker { dir: PathBuf },
    /// Serve the bare server of `produce`
    #[command(hide = true)]
    ServeBare {
        servers: String,
        topic: String,
        linger_ms: String,
    },
}

fn main() {
    schedule::wake_in_time();
    match Bench::parse() {
        Bench::Latency(options) => latency::run(&options),
        Bench::Produce(options) => produce::run(&options),
        Bench::Query(options) => query::run(&options),
        Bench::Scale(options) => scale::run(&options),
        Bench::Start(options) => start::run(&options),
        Bench::ServeBroker { dir } => serve_broker(&dir),
        Bench::ServeBare {
            servers,
            topic,
            linger_ms,
        } => produce::bare::serve(&servers, &topic, &linger_ms),
    }
}
