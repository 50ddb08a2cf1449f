//! `GET /partitions`: the state of each partition that is assigned to this instance.

use eventos_testkit::{Broker, Daemon, Setup, eventually, produce};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use crate::EVENTOS;

fn send(setup: &Setup, daemon: &Daemon, partition: i32, evento: &str) {
    let topic = setup.topic();
    let record = BaseRecord::<[u8], [u8]>::to(&topic)
        .partition(partition)
        .payload(evento.as_bytes());
    produce(daemon.broker(), [record]);
}

fn partitions(daemon: &Daemon) -> Vec<Value> {
    let answer = daemon.get("/partitions");
    assert_eq!(answer.status, 200);
    answer.json().as_array().expect("an array").clone()
}

/// Waits until these members of the status of a partition have these values. Returns the status.
fn wait_for(daemon: &Daemon, partition: usize, expected: &Value) -> Value {
    let expected = expected.as_object().expect("an object");
    eventually(&format!("partition {partition} to be {expected:?}"), || {
        let status = partitions(daemon).get(partition)?.clone();
        let matches = expected.iter().all(|(name, value)| status[name] == *value);
        matches.then_some(status)
    })
}

#[test]
fn each_partition_shows_its_state_and_its_progress() {
    let config = "[handler.probe]\non_error = \"stop\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], config);
    let daemon = setup.start();
    let all = eventually("all partitions to be restored", || {
        let all = partitions(&daemon);
        (all.len() == 4 && all.iter().all(|one| one["restoring"] == false)).then_some(all)
    });
    let generations: Vec<_> = all.iter().map(|one| one["generation"].as_u64()).collect();
    assert!(generations.is_sorted() && generations[0] >= Some(1));
    assert_eq!(
        all[2],
        json!({
            "topic": setup.topic(), "partition": 2, "phase": "active", "paused": false, "halted": null,
            "restoring": false, "generation": generations[2], "in_flight": 0, "position": 0, "committed": null,
            "lag": all[2]["lag"],
        })
    );

    send(&setup, &daemon, 0, r#"{"id":"a","tipo":"panic"}"#);
    for id in 0..3 {
        let evento = format!(r#"{{"id":{id},"tipo":"good"}}"#);
        send(&setup, &daemon, 1, &evento);
    }
    let halted =
        json!({"halted": "probe", "in_flight": 1, "position": 1, "committed": null, "lag": 1});
    wait_for(&daemon, 0, &halted);
    let done = json!({"halted": null, "in_flight": 0, "position": 3, "committed": 3, "lag": 0});
    wait_for(&daemon, 1, &done);

    assert_eq!(daemon.delete("/handlers/probe").status, 204);
    let done = json!({"halted": null, "in_flight": 0, "position": 1, "committed": 1, "lag": 0});
    wait_for(&daemon, 0, &done);

    let rewound = daemon.post("/replay?from=earliest&partition=1");
    assert_eq!(rewound.status, 200);
    let again = wait_for(&daemon, 1, &done_again());
    assert!(again["generation"].as_u64() > generations[3]);
    assert_eq!(daemon.post("/partitions").status, 405);
}

#[test]
fn a_partition_shows_that_it_is_paused_and_that_it_is_restoring() {
    let timeout = "EVENTOS__HANDLER__PROBE__TIMEOUT";
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    setup.set_env(timeout, "100ms");
    let daemon = setup.start();
    daemon.pause("probe");
    let topic = setup.topic();
    // More bytes than may be in flight.
    let pad = "x".repeat(300);
    let eventos: Vec<_> = (0..20_000)
        .map(|id| format!(r#"{{"id":{id},"tipo":"good","pad":"{pad}"}}"#))
        .collect();
    let records = eventos.iter().map(|evento| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        record.payload(evento.as_bytes())
    });
    produce(daemon.broker(), records);
    wait_for(&daemon, 0, &json!({"phase": "active", "paused": true}));
    daemon.resume("probe");
    daemon.wait_for_messages(20_000);
    wait_for(&daemon, 0, &json!({"paused": false, "in_flight": 0}));

    // This Evento times out in the next restore, which takes some seconds.
    send(&setup, &daemon, 0, r#"{"id":"slow","tipo":"spin"}"#);
    setup.wait_until_committed(&daemon);
    assert!(daemon.stop().success());
    setup.set_env(timeout, "1s");
    let daemon = setup.start_listening();
    wait_for(&daemon, 0, &json!({"phase": "active", "restoring": true}));
    daemon.wait_until_ready();
    wait_for(&daemon, 0, &json!({"restoring": false}));
}

fn done_again() -> Value {
    json!({"phase": "active", "in_flight": 0, "position": 3, "committed": 3, "lag": 0})
}
