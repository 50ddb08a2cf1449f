//! confluent-kafka, a Python client that uses librdkafka.

use eventos_testkit::{Daemon, Program, Setup, json_lines, python, read_topic};
use serde_json::{Value, json};

use super::{daemon, members};

const COUNT: usize = 500;

fn produce(daemon: &Daemon, setup: &Setup, properties: &[&str]) -> Vec<Value> {
    let mut script = python("clients/confluent_producer.py");
    script.args([daemon.broker(), &setup.topic(), &COUNT.to_string()]);
    json_lines(&Program::run(script.args(properties), ""))
}

fn consume(daemon: &Daemon, setup: &Setup, count: usize) -> Vec<Value> {
    let mut script = python("clients/confluent_consumer.py");
    script.args([
        daemon.broker(),
        &setup.topic(),
        "confluent-group",
        &count.to_string(),
    ]);
    json_lines(&Program::run(&mut script, ""))
}

#[test]
fn what_it_produces_is_reported_delivered_and_stored() {
    produces(&[]);
}

#[test]
fn what_it_produces_idempotently_is_reported_delivered_and_stored() {
    produces(&["enable.idempotence=true", "compression.type=zstd"]);
}

fn produces(properties: &[&str]) {
    let (setup, daemon) = daemon();
    let reports = produce(&daemon, &setup, properties);
    assert_eq!(reports.len(), COUNT);
    assert!(
        reports.iter().all(|report| report["error"].is_null()),
        "{reports:?}"
    );
    let stored = daemon.wait_for_messages(COUNT);
    let mut ids: Vec<_> = (0..COUNT).map(|i| format!("c-{i}")).collect();
    ids.sort();
    assert_eq!(members("id", &stored), ids);
    // Each record is at the position that its delivery report names.
    let records = read_topic(daemon.broker(), &setup.topic());
    for report in &reports {
        use rdkafka::Message;
        let position = (&report["partition"], &report["offset"]);
        let mut found = records
            .iter()
            .filter(|record| position == (&json!(record.partition()), &json!(record.offset())));
        let key = found
            .next()
            .and_then(Message::key)
            .map(String::from_utf8_lossy);
        assert_eq!(key.as_deref(), report["key"].as_str());
    }
}

#[test]
fn its_group_gets_everything_and_goes_on_after_a_restart() {
    let (setup, daemon) = daemon();
    produce(&daemon, &setup, &[]);
    daemon.send(r#"{"id":"ours","tipo":"o","n":1.10}"#);
    let (first, rest) = (200, COUNT + 1 - 200);
    let mut seen = consume(&daemon, &setup, first);
    assert_eq!(seen.len(), first);
    seen.extend(consume(&daemon, &setup, rest));
    assert_eq!(seen.len(), COUNT + 1);
    let positions: std::collections::BTreeSet<_> = seen
        .iter()
        .map(|record| (record["partition"].as_i64(), record["offset"].as_i64()))
        .collect();
    assert_eq!(positions.len(), COUNT + 1, "each record once");

    let find = |key: &Value| {
        seen.iter()
            .find(|record| &record["key"] == key)
            .expect("a record with that key")
    };
    let ours = find(&Value::Null);
    assert_eq!(ours["value"], r#"{"id":"ours","tipo":"o","n":1.10}"#);
    assert_eq!(ours["headers"], json!([]));
    let seventh = find(&json!("key-7"));
    let headers = json!([["source", "confluent"], ["empty", null], ["source", "7"]]);
    assert_eq!(seventh["headers"], headers);
    assert_eq!(
        seventh["value"],
        r#"{"id": "c-7", "tipo": "confluent", "n": 7}"#
    );
}

#[test]
fn its_admin_client_creates_lists_describes_and_deletes() {
    let (setup, daemon) = daemon();
    let mut script = python("clients/confluent_admin.py");
    script.args([daemon.broker(), "made-by-confluent", &setup.name]);
    let lines = json_lines(&Program::run(&mut script, ""));
    let [
        created,
        topics,
        described,
        cluster,
        config,
        groups,
        group,
        deleted,
    ] = &lines[..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!(
        created,
        &json!({"created": null, "again": "TOPIC_ALREADY_EXISTS"})
    );
    assert_eq!(topics["topics"]["made-by-confluent"], 3);
    assert_eq!(topics["topics"][setup.topic()], 4);
    let (_, port) = daemon.broker().rsplit_once(':').expect("host:port");
    let port: u16 = port.parse().expect("a port");
    assert_eq!(described["described"], "made-by-confluent");
    assert_eq!(described["leaders"], json!([port, port, port]));
    assert_eq!(cluster["nodes"], json!([daemon.broker()]));
    assert!(cluster["cluster"].as_str().is_some_and(|id| !id.is_empty()));
    let names = config["config"].as_array().expect("a list");
    assert!(names.contains(&json!("cleanup.policy")), "{names:?}");
    assert_eq!(groups, &json!({"groups": [setup.name], "errors": []}));
    assert_eq!(
        group,
        &json!({"group": setup.name, "state": "STABLE", "members": 1})
    );
    assert_eq!(deleted["left"], false);
}
