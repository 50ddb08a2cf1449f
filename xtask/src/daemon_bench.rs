//! `cargo xtask bench NAME` for the benchmarks in `bench/`, which measure a daemon from outside.
//!
//! They receive `EVENTOS_BENCH_PROGRAM`, the daemon in release. Those beside Kafka also receive `EVENTOS_BENCH_KAFKA`, the
//! address of an empty Apache Kafka that lives as long as this run, `EVENTOS_BENCH_KAFKA_PID`, its process id, and
//! `EVENTOS_BENCH_KAFKA_VERSION`. The benchmark `produce` receives `EVENTOS_BENCH_PYTHON`, an interpreter with what the prototype
//! imports, and finds wrk on the path.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Need},
    handlers,
    kafka::{self, Doors, Jvm, Kafka},
    process::{self, step},
    test::python,
    venv, workspace,
};

/// Their names, and whether they run beside Kafka.
const BENCHES: [(&str, bool); 5] = [
    ("latency", true),
    (PRODUCE, true),
    ("query", true),
    ("scale", true),
    ("start", false),
];

/// The benchmark that sends with wrk, also to the Python prototype.
const PRODUCE: &str = "produce";

/// Returns whether a benchmark is one of these.
pub(crate) fn is_one(name: &str) -> bool {
    BENCHES.iter().any(|(known, _)| *known == name)
}

/// Builds the daemon, its handlers and the benchmark, and runs that.
pub(crate) fn run(name: &str, args: &[String]) -> Result<()> {
    handlers::build(handlers::Selection::All)?;
    // Apart from each other, because together they would be built with the features of both. EVENTOS_BENCH_PROGRAM is another
    // build of the daemon that is measured instead.
    let daemon = match env::var_os("EVENTOS_BENCH_PROGRAM") {
        Some(other) => PathBuf::from(other),
        None => build("eventos")?,
    };
    let mut bench = Command::new(build("eventos-bench")?);
    bench
        .arg(name)
        .args(args)
        .current_dir(workspace::root())
        .env("EVENTOS_BENCH_PROGRAM", daemon);
    if name == PRODUCE {
        step("checking what this needs: wrk, Python");
        apt::provide(&[wrk(), venv::need()])?;
        bench.env("EVENTOS_BENCH_PYTHON", python::provide()?);
    }
    if !BENCHES.contains(&(name, true)) {
        step(format_args!("running the benchmark `{name}`"));
        return process::run(&mut bench);
    }
    step("checking what Apache Kafka needs: kcat, Java, Maven");
    apt::provide(&kafka::needs())?;
    let jars = kafka::provide()?;
    let log = workspace::root().join("target/bench-kafka.log");
    let kafka = Kafka::start(&jars, Jvm::AsShipped, Doors::Open, &log)?;
    bench
        .env("EVENTOS_BENCH_KAFKA", kafka.address())
        .env("EVENTOS_BENCH_KAFKA_PID", kafka.pid()?.to_string())
        .env("EVENTOS_BENCH_KAFKA_VERSION", kafka::VERSION);
    step(format_args!("running the benchmark `{name}`"));
    process::run(&mut bench)
}

fn wrk() -> Need {
    // It has no option that ends it without an error.
    let mut wrk = Command::new("wrk");
    let started = wrk.stdout(Stdio::null()).stderr(Stdio::null()).status();
    Need {
        what: "wrk",
        package: "wrk",
        is_there: started.is_ok(),
    }
}

/// Builds the program of a package in release, and returns its path.
fn build(package: &str) -> Result<PathBuf> {
    step(format_args!("building {package} in release"));
    process::run(workspace::cargo().args(["build", "--release", "--package", package]))?;
    let program = workspace::metadata()?.target_directory.join("release");
    let program = program.join(package);
    program
        .canonicalize()
        .with_context(|| format!("cannot find {}", program.display()))
}
