//! `cargo xtask chaos`: daemons and their broker are killed while Eventos flow, for as long as one likes.
//!
//! With `--broker kafka` the test receives `EVENTOS_CHAOS_KAFKA`, the address that an Apache Kafka is to have, and
//! `EVENTOS_CHAOS_KAFKA_COMMAND`, the command line that starts it, a word a line: it starts and kills that itself.

use anyhow::Result;

use crate::process::{run as run_command, step};
use crate::{apt, handlers, kafka, workspace};

/// Hands `args` to the test, see its `--help`.
pub fn run(args: &[String]) -> Result<()> {
    handlers::build()?;
    let mut test = workspace::cargo();
    // As `cargo xtask test` builds it, or all would be built again.
    test.args(["test", "--workspace", "--test", "chaos", "--"])
        .args(args);
    let mut formatted = None;
    if args
        .iter()
        .any(|arg| arg == "kafka" || arg == "--broker=kafka")
    {
        step("looking for what Apache Kafka needs: kcat, Java, Maven");
        apt::provide(&kafka::needs())?;
        let (jars, log) = (
            kafka::provide()?,
            workspace::root().join("target/chaos-kafka.log"),
        );
        let kafka = kafka::Formatted::new(&jars, kafka::Jvm::Small, kafka::Doors::Open, &log)?;
        test.env("EVENTOS_CHAOS_KAFKA", kafka.address());
        test.env("EVENTOS_CHAOS_KAFKA_COMMAND", kafka.command().join("\n"));
        formatted = Some(kafka);
    }
    step("running the chaos");
    run_command(&mut test)?;
    drop(formatted);
    Ok(())
}
