//! `cargo xtask chaos`: kills daemons and their broker at random while Eventos flow, for as long as you like.
//!
//! With `--broker kafka`, or `kafka-cluster` for one of three nodes, the test receives `EVENTOS_CHAOS_KAFKA`, the
//! addresses of an Apache Kafka that does not run yet, and `EVENTOS_CHAOS_KAFKA_COMMANDS`, the command line of each
//! node with one word per line and a blank line between nodes. The test starts and kills the nodes itself.

use anyhow::Result;

use crate::{
    apt, handlers, kafka,
    process::{run as run_command, step},
    workspace,
};

/// Passes `args` to the test; see its `--help`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    handlers::build(handlers::Selection::All)?;
    let mut test = workspace::cargo();
    // Built with the same flags as by `cargo xtask test`, so that nothing is built twice.
    test.args(["test", "--workspace", "--test", "chaos", "--"])
        .args(args);
    let mut formatted = Vec::new();
    if let Some(nodes) = nodes(args) {
        step("checking what Apache Kafka needs: kcat, Java, Maven");
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

/// Returns the number of nodes of the Kafka that is asked for, if one is.
fn nodes(args: &[String]) -> Option<usize> {
    args.iter().find_map(|arg| match &**arg {
        "kafka" | "--broker=kafka" => Some(1),
        "kafka-cluster" | "--broker=kafka-cluster" => Some(3),
        _ => None,
    })
}
