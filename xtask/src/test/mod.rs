//! `cargo xtask test [FILTER]`: prepares what the tests need, and runs them.
//!
//! The tests receive
//! * `EVENTOS_TEST_KAFKA`, the address of an empty Apache Kafka that lives as long as this run,
//! * `EVENTOS_TEST_KAFKA_GUARDED`, its address for clients that log in as `eventos`, `beginner` or `reader`, with the
//!   password `secret`, and may do what the tests grant them,
//! * `EVENTOS_TEST_KAFKA_ENCRYPTED`, its address for clients that log in over TLS as `operator`, with the same password,
//! * `EVENTOS_TEST_KAFKA_AUTHORITY`, the file with the certificate that these clients have to trust,
//! * `EVENTOS_TEST_KAFKA_JARS`, the folder of Kafka's jars, including its command-line tools,
//! * `EVENTOS_TEST_PYTHON`, a Python with the Kafka clients and web framework of `python.txt`,
//! * `kcat` on the path, and every handler, as built by `cargo xtask handlers`.
//!
//! A missing prerequisite is an error here, so that no test has to be skipped. The tests of the SDKs in languages
//! other than Rust, [`sdks`], run first because they take seconds. The one with a real [`shipper`] takes minutes, so only
//! `--all` runs it, or its name.

pub(crate) mod python;
mod sdks;
mod shipper;

use std::{env, num::NonZero, thread};

use anyhow::{Context, Result, bail};

use crate::{
    apt::{self, Need},
    chaos, checks, fuzz, handlers, kafka,
    process::{run as run_command, step},
    venv, workspace,
};

/// Minutes of chaos on each broker that [`run_all`] adds to the two of every run.
const CHAOS_MINUTES: &str = "10";

/// Seconds of each fuzz target in [`run_all`].
const FUZZ_SECONDS: u32 = 120;

/// Runs the tests whose name contains `filter`, or all without one; `args` are passed to the test binaries.
pub(crate) fn run(filter: Option<&str>, args: &[String]) -> Result<()> {
    if filter.is_some_and(shipper::is_it) {
        shipper::run()?;
        step("every test passed");
        return Ok(());
    }
    run_with(filter, args, &[])
}

fn run_with(filter: Option<&str>, args: &[String], variables: &[(&str, &str)]) -> Result<()> {
    let of_sdks = sdks::run_those(filter)?;
    if let Some(filter) = filter.filter(|filter| sdks::are_all_of(filter)) {
        if of_sdks == 0 {
            bail!("no test is called *{filter}*");
        }
        step("every test passed");
        return Ok(());
    }
    step("checking what the tests need: kcat, Java, Maven, Python");
    apt::provide(&needs())?;
    let jars = kafka::provide()?;
    let python = python::provide()?;
    handlers::build(handlers::Selection::All)?;
    handlers::build_translations("probe")?;

    // Build before Kafka starts: compile errors should come first, and a broker only slows the compiler down.
    step("building the tests");
    run_command(workspace::cargo().args(["test", "--workspace", "--no-run"]))?;

    let log = workspace::root().join("target/test-kafka.log");
    let kafka = kafka::Kafka::start(&jars, kafka::Jvm::Small, kafka::Doors::OpenAndGuarded, &log)?;
    let logins = kafka.logins().context("Kafka has no listener for users")?;
    step(match filter {
        Some(filter) => format!("running the tests that are called *{filter}*"),
        None => "running all tests".to_owned(),
    });
    let mut tests = workspace::cargo();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(filter)
        .arg("--")
        .args(args);
    tests
        .env("EVENTOS_TEST_KAFKA", kafka.address())
        .env("EVENTOS_TEST_KAFKA_GUARDED", &logins.guarded)
        .env("EVENTOS_TEST_KAFKA_ENCRYPTED", &logins.encrypted)
        .env("EVENTOS_TEST_KAFKA_AUTHORITY", &logins.authority)
        .env("EVENTOS_TEST_KAFKA_JARS", &jars)
        .env("EVENTOS_TEST_PYTHON", python)
        .envs(variables.iter().copied());
    if env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", threads().to_string());
    }
    run_command(&mut tests)
        .with_context(|| format!("the tests failed; Kafka's log is {}", log.display()))?;
    step("every test passed");
    Ok(())
}

/// Returns how many tests run at a time: one more than there are cores, since most of them wait for something most of the
/// time.
fn threads() -> usize {
    1 + thread::available_parallelism().map_or(1, NonZero::get)
}

/// The number of Eventos that each language handles in [`run_all`] to show that its memory stays flat.
const FLAT_EVENTS: (&str, &str) = ("EVENTOS_TEST_FLAT_EVENTS", "1000000");

/// Runs everything there is, in this order: the checks, all tests, that with a real shipper, chaos on each broker, and the fuzz
/// targets.
pub(crate) fn run_all(args: &[String]) -> Result<()> {
    checks::run(None, None)?;
    checks::run(Some(checks::Name::Notices), None)?;
    run_with(None, args, &[FLAT_EVENTS])?;
    shipper::run()?;
    for broker in ["embedded", "kafka", "kafka-cluster"] {
        step(format_args!(
            "running {CHAOS_MINUTES} minutes of chaos on the broker `{broker}`"
        ));
        let args = ["--minutes", CHAOS_MINUTES, "--broker", broker];
        chaos::run(&args.map(str::to_owned))?;
    }
    fuzz::run(None, FUZZ_SECONDS)?;
    step("every test and every check passed");
    Ok(())
}

fn needs() -> Vec<Need> {
    let mut needs = kafka::needs();
    needs.push(venv::need());
    needs
}
