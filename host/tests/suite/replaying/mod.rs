//! Rewinding the group: what was handled is handled again, once, and nothing is passed over.

mod commands;
mod group;
mod partial;
mod refusals;
mod rewinding;

use eventos_testkit::{
    Broker, DEADLINE, Daemon, Setup, committed, create_topic, ends, eventually, produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::EVENTOS;

/// When the first record was made; each is a second younger than the one before.
const TIMESTAMP: i64 = 1_700_000_000_000;

const PARTITIONS: i32 = 4;

/// A daemon whose handlers emit what is to be emitted, and store everything.
fn setup(broker: Broker) -> Setup {
    let setup = named(Setup::new(EVENTOS, broker, &["probe", "store"], ""), None);
    let out = out(&setup);
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &setup.topic(), PARTITIONS);
        create_topic(&broker.servers(), &out, 1);
    }
    setup
}

/// With handlers that emit, and the name of another's topics and group, if there is one.
fn named(mut setup: Setup, name: Option<&str>) -> Setup {
    if let Some(name) = name {
        name.clone_into(&mut setup.name);
    }
    let out = out(&setup);
    setup.configure(&format!(
        "[handler.probe]\nproduce = [{out:?}]\nconfig = {{ emit_to = {out:?} }}\n"
    ));
    setup
}

/// Where the probe emits to.
fn out(setup: &Setup) -> String {
    format!("{}-out", setup.name)
}

/// Produces Eventos, one after the other into each partition.
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

/// A daemon that has handled and committed so many.
fn filled(broker: Broker, eventos: i32) -> (Setup, Daemon) {
    let setup = setup(broker);
    let daemon = setup.start();
    fill(&setup, &daemon, 0..eventos);
    daemon.wait_for_messages(usize::try_from(eventos).expect("few"));
    wait_for_committed(&setup, &daemon);
    (setup, daemon)
}

fn ask(daemon: &Daemon, path: &str) -> (StatusCode, Value) {
    let request = daemon.client().request(Method::POST, daemon.url(path));
    // One that is stopped is given up after 20 seconds.
    let request = request.timeout(DEADLINE);
    let answer = request.send().expect("answered");
    let status = answer.status();
    (status, answer.json().expect("JSON"))
}

/// Replays, which has to come about in whole.
fn replay(daemon: &Daemon, query: &str) -> Value {
    let (status, answer) = ask(daemon, &format!("/replay?{query}"));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["partial"], false);
    answer
}

/// Status, beginning and end of each partition.
fn fates(answer: &Value) -> Vec<(&str, Option<i64>, Option<i64>)> {
    let partitions = answer["partitions"].as_array().expect("an array");
    let fate = |told: &'_ Value| (told["from"].as_i64(), told["to"].as_i64());
    partitions
        .iter()
        .map(|told| {
            let (from, to) = fate(told);
            (told["status"].as_str().expect("a text"), from, to)
        })
        .collect()
}

/// Waits until the group has committed everything.
fn wait_for_committed(setup: &Setup, daemon: &Daemon) {
    let ends = ends(daemon.broker(), &setup.topic());
    eventually("everything to be committed", || {
        (committed(daemon.broker(), &setup.name, &setup.topic()) == ends).then_some(())
    });
}
