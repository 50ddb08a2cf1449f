//! The audit trail: each request that changes something is in the log and in the topic `{group_id}-audit`.

use eventos_testkit::{Broker, Setup, eventually, read_topic};
use rdkafka::Message as _;
use reqwest::Method;
use serde_json::Value;

use super::NewKey;
use crate::EVENTOS;

#[test]
fn changes_are_recorded_with_who_and_from_where_with_the_broker_inside() {
    changes_are_recorded_with_who_and_from_where(Broker::Embedded);
}

#[test]
fn changes_are_recorded_with_who_and_from_where_with_kafka() {
    changes_are_recorded_with_who_and_from_where(Broker::Kafka);
}

fn changes_are_recorded_with_who_and_from_where(broker: Broker) {
    let key = NewKey::with(&["--scopes", "read,send,admin", "--name", "operator"]);
    let mut setup = Setup::new(EVENTOS, broker, &["store"], &key.table);
    setup.key = Some(key.key.clone());
    let daemon = setup.start();
    daemon.send(r#"{"id":"a","tipo":"t"}"#);
    let changes = [
        ("POST", "/handlers/store/pause", 200),
        ("POST", "/handlers/store/resume", 200),
        ("PUT", "/handlers/broken?dry_run=true", 422),
        ("DELETE", "/handlers/nothing", 404),
        ("POST", "/replay?from=earliest&dry_run=true", 200),
        ("POST", "/dead-letters/redrive?all=true&dry_run=true", 200),
    ];
    for (method, path, status) in changes {
        daemon.get("/handlers").assert_status(200);
        let is_upload = method == "PUT";
        let method = method.parse::<Method>().expect("a method");
        let request = daemon.request(method, path);
        let request = match is_upload {
            true => request
                .header("content-type", "application/wasm")
                .body("no handler"),
            false => request,
        };
        let response = request.send().expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    let topic = format!("{}-audit", setup.name);
    let entries = eventually("the entries in the topic", || {
        let records = read_topic(daemon.broker(), &topic);
        let entry = |record: &rdkafka::message::OwnedMessage| {
            serde_json::from_slice::<Value>(record.payload().expect("a value")).expect("JSON")
        };
        let entries: Vec<_> = records.iter().map(entry).collect();
        (entries.len() >= changes.len()).then_some(entries)
    });
    let log = daemon.log();
    for (entry, (method, path, status)) in entries.iter().zip(changes) {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        assert_eq!(entry["method"], method, "{entry}");
        assert_eq!(entry["path"], path, "{entry}");
        assert_eq!(entry["query"].as_str(), query, "{entry}");
        assert_eq!(entry["status"], status, "{entry}");
        assert_eq!(entry["key"], "operator", "{entry}");
        let client = entry["client"].as_str().expect("an address");
        assert!(client.starts_with("127.0.0.1:"), "{entry}");
        let logged = log
            .lines()
            .find(|line| line.contains("administration") && line.contains(path));
        assert!(
            logged.is_some_and(|line| line.contains("operator")),
            "{path}"
        );
    }
    assert_eq!(entries.len(), changes.len());
    assert!(daemon.stop().success());
}

/// A request of someone without the permission changes nothing, and there could be any number of them.
#[test]
fn what_was_not_permitted_is_not_recorded_and_a_stop_writes_what_is_left() {
    let [reader, operator] = ["read", "admin"].map(|scope| NewKey::with(&["--scopes", scope]));
    let tables = format!("{}\n{}", reader.table, operator.table);
    let host = Setup::new(EVENTOS, Broker::Embedded, &["store"], "").start();
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &tables);
    host.broker().clone_into(&mut setup.servers);
    setup.key = Some(reader.key.clone());
    let daemon = setup.start();
    daemon.post("/handlers/store/pause").assert_status(403);
    let pause = daemon
        .request(Method::POST, "/handlers/store/pause")
        .header("authorization", format!("Bearer {}", operator.key));
    assert_eq!(pause.send().expect("an answer").status().as_u16(), 200);
    assert!(daemon.stop().success());
    let topic = format!("{}-audit", setup.name);
    assert_eq!(read_topic(host.broker(), &topic).len(), 1);
}
