//! `cargo xtask bench race`: eventos beside Kafka Streams, Quix Streams, the prototype in Python that it replaces, and bare loops
//! on librdkafka, on the same preloaded topic of the same Apache Kafka. [`contestants`] lists them.
//!
//! Each contestant is a program of its own that runs alone, once in each round. It prints lines for its progress (see
//! [`progress`]), and [`measure`] reads CPU time and memory from outside, in the same way for all. `peers/` has the programs that
//! are not in Rust; this executable runs itself again for the others, [`bare`] and [`pipeline_part`].

mod bare;
mod batch;
mod broker;
mod child;
#[path = "../common/component.rs"]
mod component;
mod contestants;
mod measure;
#[path = "../common/pipeline.rs"]
mod pipeline;
mod pipeline_part;
mod progress;
mod results;

use std::{env, ops::ControlFlow, process::ExitCode};

use clap::Parser;
use eventos::plugin::CompilerProgram;
use eventos_testkit::measure::{
    part::{Part, runtime},
    preload::{create_topics, preload},
};

use crate::{
    contestants::{ALL, Contestant, Job},
    results::Results,
};

/// The topic with the events.
const TOPIC: &str = "eventos";

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

/// Compares eventos with its peers on a real Apache Kafka
#[derive(Parser)]
#[command(
    name = "cargo xtask bench race --",
    bin_name = "cargo xtask bench race --"
)]
struct Options {
    /// Number of events of 100 bytes in the topic
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    events: u64,
    /// Number of rounds in which all contestants take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Run only the contestants whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Cargo passes this to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let program = match CompilerProgram::begin() {
        ControlFlow::Continue(program) => program,
        ControlFlow::Break(code) => return code,
    };
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["preload", servers, events] => fill_topic(servers, events.parse().expect("a number")),
        ["run", part, ref job @ ..] => run_part(part, &Job::parse(job), program),
        _ => return race(&Options::parse()),
    }
    ExitCode::SUCCESS
}

fn run_part(part: &str, job: &Job, program: CompilerProgram) {
    match part {
        "eventos" => pipeline_part::run(job, program),
        "bare-poll" => bare::poll(job),
        "bare-batch" => batch::run(job),
        "bare-produce" => bare::produce(job),
        other => panic!("there is no part {other}"),
    }
}

fn fill_topic(servers: &str, events: u64) {
    runtime().block_on(async {
        create_topics(servers, &[TOPIC], PARTITIONS).await;
        preload(servers, TOPIC, PARTITIONS, events).await;
    });
    println!("done");
}

/// Fails if a contestant failed, after all others have run.
fn race(options: &Options) -> ExitCode {
    let selected: Vec<&Contestant> = ALL.iter().filter(|it| is_selected(it, options)).collect();
    if selected.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|it| it.name).collect();
        eprintln!(
            "error: no contestant is called {:?}; there are {}",
            options.only,
            names.join(", ")
        );
        return ExitCode::FAILURE;
    }
    let servers = env::var("EVENTOS_BENCH_KAFKA").expect("run it as `cargo xtask bench race`");
    let Options { events, rounds, .. } = *options;
    let settings =
        format!("{events} events of 100 bytes, {PARTITIONS} partitions, rounds: {rounds}");
    let mut results = Results::new(&settings, &selected);
    eprintln!("preloading {events} events");
    Part::start(&["preload", &servers, &events.to_string()]).read_line();
    for round in 1..=rounds {
        for contestant in &selected {
            if results.has_failed(contestant) {
                continue;
            }
            let outcome = measure::run(contestant, &servers, events, round);
            results.add(contestant, round, outcome);
        }
    }
    match results.finish() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn is_selected(contestant: &Contestant, options: &Options) -> bool {
    let mut only = options.only.iter();
    options.only.is_empty() || only.any(|part| contestant.name.contains(part.as_str()))
}
