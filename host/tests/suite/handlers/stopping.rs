//! What stops a partition: `on_error = "stop"`, and too many failures in a row. Nothing is lost by it, the other partitions
//! go on, and there are two ways to go on.

use std::fs;

use eventos_testkit::{Broker, Daemon, Setup, eventually, handler, produce};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use super::evento;
use crate::EVENTOS;

fn setup(probe: &str) -> Setup {
    let more = format!("[handler.probe]\n{probe}\n");
    Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], &more)
}

fn send(setup: &Setup, daemon: &Daemon, partition: i32, eventos: &[String]) {
    let topic = setup.topic();
    let records = eventos.iter().map(|evento| {
        BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(partition)
            .payload(evento.as_bytes())
    });
    produce(daemon.broker(), records.collect::<Vec<_>>());
}

/// `GET /handlers/probe`, once it is in this state.
fn wait_for_state(daemon: &Daemon, state: &str) -> Value {
    eventually(&format!("the probe to be {state}"), || {
        let answer = daemon.client().get(daemon.url("/handlers/probe")).send();
        let status: Value = answer.expect("answered").json().expect("JSON");
        (status["state"] == state).then_some(status)
    })
}

fn in_state(daemon: &Daemon, state: &str) -> f64 {
    let line = format!(r#"eventos_handler_state{{handler="probe",state="{state}"}}"#);
    daemon.metric(&line).unwrap_or_default()
}

fn ids(daemon: &Daemon, count: usize) -> Vec<String> {
    let stored = daemon.wait_for_messages(count);
    let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
    stored.iter().map(id).collect()
}

fn resume(daemon: &Daemon) {
    let url = daemon.url("/handlers/probe/resume");
    let answer = daemon.client().post(url).send().expect("answered");
    assert_eq!(answer.status(), 200);
}

#[test]
fn with_stop_a_failure_stops_its_partition_and_no_other() {
    let setup = setup("on_error = \"stop\"");
    let daemon = setup.start();
    let before = [
        evento("a", "good"),
        evento("b", "panic"),
        evento("c", "good"),
    ];
    send(&setup, &daemon, 0, &before);
    let status = wait_for_state(&daemon, "stopped");
    let why = status["stopped"]["0"].as_str().expect("a reason");
    assert!(why.contains("at offset 1: "), "{why}");
    assert!(why.contains("asked to panic"), "{why}");
    assert_eq!(
        (in_state(&daemon, "stopped"), in_state(&daemon, "running")),
        (1.0, 0.0)
    );
    daemon.wait_for_log("the partition stops; replace the handler", "partition=");

    // On the same worker too, for there are fewer workers than partitions.
    for partition in 1..4 {
        send(&setup, &daemon, partition, &[evento(partition, "good")]);
    }
    assert_eq!(ids(&daemon, 3), ["1", "2", "3"]);
    // Much more than what pauses it.
    let many: Vec<_> = (0..10_000)
        .map(|i| evento(format!("later-{i}"), "good"))
        .collect();
    send(&setup, &daemon, 0, &many);

    // As it is, it only stops again.
    resume(&daemon);
    wait_for_state(&daemon, "stopped");
    assert!(setup.read_dead_letters(&daemon).is_empty());
    assert_eq!(daemon.wait_for_messages(3).len(), 3);

    // Another one in its place goes on, with nothing lost and nothing twice.
    let url = daemon.url("/handlers/probe");
    let store = fs::read(handler("store")).expect("read");
    let put = daemon
        .client()
        .put(url)
        .body(store)
        .send()
        .expect("answered");
    assert_eq!(put.status(), 200);
    // Both handlers store now.
    daemon.wait_for_messages(3 + 2 * (3 + 10_000));
    wait_for_state(&daemon, "running");
    assert_eq!(in_state(&daemon, "stopped"), 0.0);
}

#[test]
fn more_failures_in_a_row_than_are_set_stop_the_partition() {
    let setup = setup("max_failures = 5");
    let daemon = setup.start();
    // Five in a row, and a rejection, which is no failure: the count begins anew.
    let mut eventos = vec![evento("f", "panic"); 5];
    eventos.push(evento("r", "reject"));
    eventos.extend(vec![evento("f", "replace-junk"); 5]);
    eventos.push(evento("good", "good"));
    send(&setup, &daemon, 0, &eventos);
    assert_eq!(ids(&daemon, 1), ["good"]);
    assert_eq!(setup.read_dead_letters(&daemon).len(), 11);

    send(&setup, &daemon, 0, &vec![evento("f", "abort"); 6]);
    let status = wait_for_state(&daemon, "stopped");
    let why = status["stopped"]["0"].as_str().expect("a reason");
    assert!(
        why.starts_with("it failed 6 times in a row, the last time at offset 17: "),
        "{why}"
    );
    let dead = setup.read_dead_letters(&daemon).len();
    assert!((11..=16).contains(&dead), "{dead}");
}

#[test]
fn a_resumed_partition_begins_to_count_anew() {
    let setup = setup("max_failures = 1");
    let daemon = setup.start();
    send(&setup, &daemon, 0, &[evento("f", "panic")]);
    eventually("one dead letter", || {
        (setup.read_dead_letters(&daemon).len() == 1).then_some(())
    });
    send(&setup, &daemon, 0, &[evento("f", "panic")]);
    wait_for_state(&daemon, "stopped");
    resume(&daemon);
    wait_for_state(&daemon, "running");
    eventually("the other one", || {
        (setup.read_dead_letters(&daemon).len() == 2).then_some(())
    });
}

#[test]
fn a_stopped_partition_holds_up_no_shutdown_and_is_there_after_a_restart() {
    let setup = setup("on_error = \"stop\"");
    let daemon = setup.start();
    send(
        &setup,
        &daemon,
        0,
        &[evento("a", "good"), evento("b", "panic")],
    );
    wait_for_state(&daemon, "stopped");
    let began = std::time::Instant::now();
    assert!(daemon.stop().success());
    // What is under way may take 25 s; what is stopped is not waited for.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());

    let daemon = setup.start();
    let status = wait_for_state(&daemon, "stopped");
    let why = status["stopped"]["0"].as_str().expect("a reason");
    assert!(why.contains("at offset 1: "), "{why}");
}
