//! `cargo xtask bench NAME`: runs a benchmark with freshly built handlers, or next to a real Kafka.
//!
//! The benchmarks `broker`, `guarantees` and `race` receive `EVENTOS_BENCH_KAFKA`, the address of an empty Apache Kafka that
//! lives as long as this run, `EVENTOS_BENCH_KAFKA_PID`, its process id, and `EVENTOS_BENCH_KAFKA_VERSION`. `race` also
//! receives where its peers are, see [`race`].

use std::process::Command;

use anyhow::Result;

use crate::{
    apt, daemon_bench, handlers,
    kafka::{self, Doors, Jvm, Kafka},
    process::{self, step},
    race, workspace,
};

/// The benchmarks that run next to Kafka.
const BESIDE_KAFKA: [&str; 3] = ["broker", "guarantees", RACE];

/// The benchmark that compares eventos with its peers.
const RACE: &str = "race";

/// The benchmark that compares languages.
const HANDLERS: &str = "handlers";

/// Prepares what a benchmark of the host needs, and runs it. For an unknown `name`, cargo lists the benchmarks.
pub(crate) fn run(name: &str, args: &[String]) -> Result<()> {
    if daemon_bench::is_one(name) {
        return daemon_bench::run(name, args);
    }
    if BESIDE_KAFKA.contains(&name) {
        return beside_kafka(name, args);
    }
    handlers::build(handlers::Selection::All)?;
    if name == HANDLERS {
        handlers::build_translations("bench-handlers")?;
    }
    step(format_args!("building and running the benchmark `{name}`"));
    process::run(cargo_bench(name).arg("--").args(args))
}

fn beside_kafka(name: &str, args: &[String]) -> Result<()> {
    step("checking what Apache Kafka needs: kcat, Java, Maven");
    apt::provide(&kafka::needs())?;
    let jars = kafka::provide()?;
    let mut peers = Vec::new();
    if name == RACE {
        handlers::build(handlers::Selection::DropIns)?;
        step("checking what the peers need: Kafka Streams, Quix Streams, aiokafka");
        peers = race::provide();
    }
    // Build before Kafka starts, because broker and compiler would slow each other down.
    step(format_args!("building the benchmark `{name}`"));
    process::run(cargo_bench(name).arg("--no-run"))?;
    let log = workspace::root().join("target/bench-kafka.log");
    let kafka = Kafka::start(&jars, Jvm::AsShipped, Doors::Open, &log)?;
    step(format_args!("running the benchmark `{name}`"));
    let mut bench = cargo_bench(name);
    bench
        .env("EVENTOS_BENCH_KAFKA", kafka.address())
        .env("EVENTOS_BENCH_KAFKA_PID", kafka.pid()?.to_string())
        .env("EVENTOS_BENCH_KAFKA_VERSION", kafka::VERSION)
        .envs(peers);
    process::run(bench.arg("--").args(args))
}

fn cargo_bench(name: &str) -> Command {
    let mut cargo = workspace::cargo();
    let package = match name {
        "broker" => "eventos-broker",
        _ => "eventos",
    };
    cargo.args(["bench", "--package", package, "--bench", name]);
    cargo
}
