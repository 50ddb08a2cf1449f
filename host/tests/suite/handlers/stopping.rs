//! Halted partitions: `on_error = "stop"`, and too many failures in a row. No record is lost, the other partitions go on, and the
//! partition goes on when the handler is resumed or replaced.

use std::fs;

use eventos_testkit::{Daemon, eventually, handler};
use serde_json::Value;

use super::{evento, probe_setup, send_to};

/// Waits until the handler `probe` is in this state. Returns the answer of `GET /handlers/probe`.
fn wait_for_state(daemon: &Daemon, state: &str) -> Value {
    eventually(&format!("the probe to be {state}"), || {
        let status = daemon.get("/handlers/probe").json();
        (status["state"] == state).then_some(status)
    })
}

/// Returns the metric for this state: 1 if the handler `probe` is in it.
fn state_metric(daemon: &Daemon, state: &str) -> f64 {
    let line = format!(r#"eventos_handler_state{{handler="probe",state="{state}"}}"#);
    daemon.metric(&line).unwrap_or_default()
}

fn ids(daemon: &Daemon, count: usize) -> Vec<String> {
    let stored = daemon.wait_for_messages(count);
    let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
    stored.iter().map(id).collect()
}

#[test]
fn with_stop_a_failure_stops_its_partition_and_no_other() {
    let setup = probe_setup("on_error = \"stop\"");
    let daemon = setup.start();
    let before = [
        evento("a", "good"),
        evento("b", "panic"),
        evento("c", "good"),
    ];
    send_to(&setup, &daemon, 0, &before);
    let status = wait_for_state(&daemon, "stopped");
    let why = status["stopped"]["0"].as_str().expect("a reason");
    assert!(why.contains("at offset 1: "), "{why}");
    assert!(why.contains("asked to panic"), "{why}");
    assert_eq!(
        (
            state_metric(&daemon, "stopped"),
            state_metric(&daemon, "running")
        ),
        (1.0, 0.0)
    );
    daemon.wait_for_log("partition halted; replace the handler");

    // There are fewer workers than partitions, so one of these is on the same worker.
    for partition in 1..4 {
        send_to(&setup, &daemon, partition, &[evento(partition, "good")]);
    }
    assert_eq!(ids(&daemon, 3), ["1", "2", "3"]);
    // These are far more records than fit before the partition is paused.
    let many: Vec<_> = (0..10_000)
        .map(|i| evento(format!("later-{i}"), "good"))
        .collect();
    send_to(&setup, &daemon, 0, &many);

    // The same handler fails again, so the partition is halted again.
    daemon.resume("probe");
    wait_for_state(&daemon, "stopped");
    assert!(setup.read_dead_letters(&daemon).is_empty());
    assert_eq!(daemon.wait_for_messages(3).len(), 3);

    // With another handler in its place the partition goes on, and no record is lost or handled twice.
    let store = fs::read(handler("store")).expect("the file can be read");
    daemon.put("/handlers/probe", store).assert_status(200);
    // Both handlers store each Evento now.
    daemon.wait_for_messages(3 + 2 * (3 + 10_000));
    wait_for_state(&daemon, "running");
    assert_eq!(state_metric(&daemon, "stopped"), 0.0);
}

#[test]
fn more_failures_in_a_row_than_are_set_stop_the_partition() {
    let setup = probe_setup("max_failures = 5");
    let daemon = setup.start();
    // Five failures, and then a rejection, which does not count as a failure and resets the count.
    let mut eventos = vec![evento("f", "panic"); 5];
    eventos.push(evento("r", "reject"));
    eventos.extend(vec![evento("f", "replace-junk"); 5]);
    eventos.push(evento("good", "good"));
    send_to(&setup, &daemon, 0, &eventos);
    assert_eq!(ids(&daemon, 1), ["good"]);
    assert_eq!(setup.read_dead_letters(&daemon).len(), 11);

    send_to(&setup, &daemon, 0, &vec![evento("f", "abort"); 6]);
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
    let setup = probe_setup("max_failures = 1");
    let daemon = setup.start();
    send_to(&setup, &daemon, 0, &[evento("f", "panic")]);
    eventually("one dead letter", || {
        (setup.read_dead_letters(&daemon).len() == 1).then_some(())
    });
    send_to(&setup, &daemon, 0, &[evento("f", "panic")]);
    wait_for_state(&daemon, "stopped");
    daemon.resume("probe");
    wait_for_state(&daemon, "running");
    eventually("a second dead letter", || {
        (setup.read_dead_letters(&daemon).len() == 2).then_some(())
    });
}

#[test]
fn a_stopped_partition_holds_up_no_shutdown_and_is_there_after_a_restart() {
    let setup = probe_setup("on_error = \"stop\"");
    let daemon = setup.start();
    send_to(
        &setup,
        &daemon,
        0,
        &[evento("a", "good"), evento("b", "panic")],
    );
    wait_for_state(&daemon, "stopped");
    let began = std::time::Instant::now();
    assert!(daemon.stop().success());
    // A shutdown waits up to 25 s for a batch in flight, but not for a halted partition.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());

    let daemon = setup.start();
    let status = wait_for_state(&daemon, "stopped");
    let why = status["stopped"]["0"].as_str().expect("a reason");
    assert!(why.contains("at offset 1: "), "{why}");
}
