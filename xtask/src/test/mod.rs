//! `cargo xtask test [FILTER]`: what the tests need is got and started, then every test runs.
//!
//! The tests receive
//! * `EVENTOS_TEST_KAFKA`, the address of an empty Apache Kafka that lives as long as this run,
//! * `EVENTOS_TEST_KAFKA_GUARDED`, where one logs in to the same, as `eventos`, `beginner` or `reader`, with the password
//!   `secret`: they may do what the tests grant them,
//! * `EVENTOS_TEST_KAFKA_JARS`, the folder of Kafka's jars, its command-line tools among them,
//! * `EVENTOS_TEST_PYTHON`, a Python that has the Kafka clients and web framework of `python.txt`,
//! * `kcat` on the path, and every handler freshly built, as `cargo xtask handlers` leaves them.
//!
//! What cannot be had is an error here, so that no test has to be skipped. The tests of the SDKs in other languages
//! than Rust, [`sdks`], run first, for they take seconds.

mod python;
mod sdks;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Need};
use crate::process::{run as run_command, step};
use crate::{handlers, kafka, venv, workspace};

/// Runs the tests whose name contains `filter`, all without one; `args` go to the test binaries.
pub fn run(filter: Option<&str>, args: &[String]) -> Result<()> {
    let of_sdks = sdks::run_those(filter)?;
    if let Some(filter) = filter.filter(|filter| sdks::are_all_of(filter)) {
        if of_sdks == 0 {
            bail!("no test is called *{filter}*");
        }
        step("every test passed");
        return Ok(());
    }
    step("looking for what the tests need: kcat, Java, Maven, Python");
    apt::provide(&needs())?;
    let jars = kafka::provide()?;
    let python = python::provide()?;
    handlers::build()?;
    handlers::build_translations("probe")?;

    // Before Kafka starts: what does not compile should fail first, and a broker only slows a
    // compiler down.
    step("building the tests");
    run_command(workspace::cargo().args(["test", "--workspace", "--no-run"]))?;

    let log = workspace::root().join("target/test-kafka.log");
    let kafka = kafka::Kafka::start(&jars, kafka::Jvm::Small, kafka::Doors::OpenAndGuarded, &log)?;
    step(match filter {
        Some(filter) => format!("running the tests that are called *{filter}*"),
        None => "running all tests".to_owned(),
    });
    let mut tests = workspace::cargo();
    tests
        .args(["test", "--workspace"])
        .args(filter)
        .arg("--")
        .args(args);
    tests
        .env("EVENTOS_TEST_KAFKA", kafka.address())
        .env(
            "EVENTOS_TEST_KAFKA_GUARDED",
            kafka.guarded().unwrap_or_default(),
        )
        .env("EVENTOS_TEST_KAFKA_JARS", &jars)
        .env("EVENTOS_TEST_PYTHON", python);
    run_command(&mut tests)
        .with_context(|| format!("the tests failed; Kafka's log is {}", log.display()))?;
    step("every test passed");
    Ok(())
}

fn needs() -> Vec<Need> {
    let mut needs = kafka::needs();
    needs.push(venv::need());
    needs
}
