//! Records that a handler asks to retry, or runs over its time on: other partitions do not wait for them, and neither does a
//! rebalance. A handler that never returns halts its partition within a minute.

use std::time::Instant;

use eventos_testkit::{Broker, Setup, eventually};

use super::{Fixture, evento, probe_setup, send_to};
use crate::EVENTOS;

#[test]
fn a_partition_full_of_retries_holds_up_no_other_and_is_done_in_seconds() {
    let setup = probe_setup("");
    let daemon = setup.start();
    let mut eventos = vec![evento("again", "retry"); 500];
    eventos.push(evento("last", "good"));
    send_to(&setup, &daemon, 0, &eventos);
    eventually("the first retries", || {
        let line = r#"eventos_handler_events_total{handler="probe",outcome="retry"}"#;
        daemon.metric(line).filter(|count| *count > 0.0)
    });
    let began = Instant::now();
    for partition in 1..4 {
        send_to(&setup, &daemon, partition, &[evento(partition, "good")]);
    }
    daemon.wait_for_messages(3);
    // One after the other, the pauses of 500 records would take six minutes.
    daemon.wait_for_messages(4);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let letters = setup.read_dead_letters(&daemon);
    assert_eq!(letters.len(), 500);
    assert!(
        letters
            .iter()
            .all(|letter| letter.header("eventos.attempts") == "4")
    );
}

#[test]
fn records_that_are_retried_keep_their_place() {
    let toml = "[handler.probe]\nretries = 1\non_error = \"skip\"\n[output]\ntopic = \"out\"\n";
    let tipos = ["good", "retry", "replace", "retry", "good", "drop", "good"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let fixture = Fixture::new(toml, &eventos);
    assert_eq!(fixture.stored(), ["0", "part-1", "part-2", "4", "6"]);
    assert_eq!(fixture.outcomes("retry"), 4.0);
    assert_eq!(fixture.outcomes("pass"), 3.0);
}

#[test]
fn a_rebalance_does_not_wait_for_retries() {
    let setup = probe_setup("retries = 1000");
    let daemon = setup.start();
    for partition in 0..4 {
        send_to(&setup, &daemon, partition, &[evento("again", "retry")]);
    }
    eventually("some retries", || {
        let line = r#"eventos_handler_events_total{handler="probe",outcome="retry"}"#;
        daemon.metric(line).filter(|count| *count > 12.0)
    });
    let mut second = Setup::new(
        EVENTOS,
        Broker::Embedded,
        &["probe", "store"],
        "[handler.probe]\nretries = 1000\n",
    );
    second.name.clone_from(&setup.name);
    daemon.broker().clone_into(&mut second.servers);
    let began = Instant::now();
    let other = second.start_listening();
    eventually("the other daemon to own partitions", || {
        let partitions = other.get("/partitions").json();
        partitions
            .as_array()
            .filter(|list| !list.is_empty())
            .map(|_| ())
    });
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(daemon.stop().success());
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn a_handler_that_never_returns_halts_its_partition_within_a_minute() {
    let setup = probe_setup("");
    let daemon = setup.start();
    let began = Instant::now();
    send_to(&setup, &daemon, 0, &vec![evento("loop", "spin"); 200]);
    for partition in 1..4 {
        send_to(&setup, &daemon, partition, &[evento(partition, "good")]);
    }
    daemon.wait_for_messages(3);
    let why = eventually("the partition to be halted", || {
        let status = daemon.get("/handlers/probe").json();
        status["stopped"]["0"].as_str().map(str::to_owned)
    });
    // It takes about 33 s of calls, on a busy machine longer.
    assert!(began.elapsed().as_secs() < 100, "{:?}", began.elapsed());
    assert!(why.contains("its failed calls took 3"), "{why}");
    assert!(why.contains("ran longer than its limit of 1s"), "{why}");
    assert!(setup.read_dead_letters(&daemon).is_empty());
}
