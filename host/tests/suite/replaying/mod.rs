//! `POST /replay`: records that were committed are handled again, once, and none is skipped.

mod commands;
mod group;
mod partial;
mod refusals;
mod rewinding;

use eventos_testkit::{
    Answer, Broker, Daemon, Setup, create_topic, eventually, produce, read_topic, run_subcommand,
};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

/// Timestamp of the first record. Each record is one second later than the one before.
const TIMESTAMP: i64 = 1_700_000_000_000;

const PARTITIONS: i32 = 4;

/// Prepares a daemon whose handler `probe` emits a copy of every `emit`, and whose handler `store` stores everything.
fn setup(broker: Broker) -> Setup {
    let mut setup = Setup::new(EVENTOS, broker, &["probe", "store"], "");
    configure_emitting(&mut setup);
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &setup.topic(), PARTITIONS);
        create_topic(&broker.servers(), &output(&setup), 1);
    }
    setup
}

/// Permits `probe` to emit to the output topic.
fn configure_emitting(setup: &mut Setup) {
    let output = output(setup);
    setup.add_config(&format!(
        "[handler.probe]\nproduce = [{output:?}]\nconfig = {{ emit_to = {output:?} }}\n"
    ));
}

/// Returns the topic that `probe` emits to.
fn output(setup: &Setup) -> String {
    format!("{}-out", setup.name)
}

/// Produces Eventos with these ids to the partitions in turn.
fn fill(setup: &Setup, daemon: &Daemon, ids: std::ops::Range<i32>) {
    let topic = setup.topic();
    let values: Vec<_> = ids
        .clone()
        .map(|i| format!(r#"{{"id":{i},"tipo":"emit"}}"#))
        .collect();
    let records = ids.zip(&values).map(|(i, value)| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(i % PARTITIONS);
        let record = record.timestamp(TIMESTAMP + i64::from(i) * 1_000);
        record.payload(value.as_bytes())
    });
    produce(daemon.broker(), records);
}

/// Starts a daemon and has it handle and commit this number of Eventos.
fn filled(broker: Broker, eventos: i32) -> (Setup, Daemon) {
    let setup = setup(broker);
    let daemon = setup.start();
    fill(&setup, &daemon, 0..eventos);
    daemon.wait_for_messages(usize::try_from(eventos).expect("a count"));
    setup.wait_until_committed(&daemon);
    (setup, daemon)
}

fn post_replay(daemon: &Daemon, query: &str) -> Answer {
    daemon.post(&format!("/replay?{query}"))
}

/// Replays, which must succeed for every partition. Returns the report.
fn replay(daemon: &Daemon, query: &str) -> Value {
    let report = post_replay(daemon, query).assert_status(200).json();
    assert_eq!(report["partial"], false);
    report
}

/// Runs `eventos replay` with these arguments. Returns its exit code, standard output and standard error.
fn run_replay(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String, String) {
    run_subcommand(EVENTOS, "replay", &daemon.url(""), arguments)
}

/// Returns status, old offset and new offset of each partition in a report.
fn outcomes(report: &Value) -> Vec<(&str, Option<i64>, Option<i64>)> {
    let partitions = report["partitions"].as_array().expect("an array").iter();
    partitions
        .map(|partition| {
            let status = partition["status"].as_str().expect("a text");
            (status, partition["from"].as_i64(), partition["to"].as_i64())
        })
        .collect()
}

/// Waits until exactly `count` Eventos are stored, and checks that their ids are 0, 1, 2 and so on.
fn wait_for_numbered_messages(daemon: &Daemon, count: i64) {
    let stored = eventually(&format!("{count} stored Eventos"), || {
        let text = daemon.messages("?limit=20000");
        let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let length = i64::try_from(stored.len()).expect("a count");
        assert!(length <= count, "{length} are stored");
        (length == count).then_some(stored)
    });
    let ids = stored.iter().map(|evento| evento["id"].as_i64());
    assert!(ids.eq((0..count).map(Some)));
}
