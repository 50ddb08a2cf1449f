//! `cargo xtask chaos`: daemons and their broker are killed while Eventos flow, for as long as one likes.
//!
//! With `--broker kafka`, or `kafka-cluster` for one of three nodes, the test receives `EVENTOS_CHAOS_KAFKA`, the addresses
//! that an Apache Kafka is to have, and `EVENTOS_CHAOS_KAFKA_COMMANDS`, the command line of each node, a word a line and a
//! blank line between two: it starts and kills them itself.

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
    let mut formatted = Vec::new();
    if let Some(nodes) = nodes(args) {
        step("looking for what Apache Kafka needs: kcat, Java, Maven");
        apt::provide(&kafka::needs())?;
        let (jars, log) = (
            kafka::provide()?,
            workspace::root().join("target/chaos-kafka.log"),
        );
        let (jvm, doors) = (kafka::Jvm::Small, kafka::Doors::Open);
        formatted = kafka::Formatted::cluster(nodes, &jars, jvm, doors, &log)?;
        let addresses: Vec<_> = formatted.iter().map(kafka::Formatted::address).collect();
        let commands: Vec<_> = formatted.iter().map(|it| it.command().join("\n")).collect();
        test.env("EVENTOS_CHAOS_KAFKA", addresses.join(","));
        test.env("EVENTOS_CHAOS_KAFKA_COMMANDS", commands.join("\n\n"));
    }
    step("running the chaos");
    run_command(&mut test)?;
    drop(formatted);
    Ok(())
}

/// Of the Kafka that is asked for, if one is.
fn nodes(args: &[String]) -> Option<usize> {
    args.iter().find_map(|arg| match &**arg {
        "kafka" | "--broker=kafka" => Some(1),
        "kafka-cluster" | "--broker=kafka-cluster" => Some(3),
        _ => None,
    })
}
