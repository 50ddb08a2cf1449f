//! Restoring through a handler chain that drops, replaces, emits, rejects and panics.

use std::fs;

use eventos_testkit::{Broker, Daemon, Setup, create_topic, read_topic};

use super::{produce_all, setup, stored};

const TIPOS: [&str; 9] = [
    "good",
    "drop",
    "replace",
    "emit",
    "reject",
    "emit-panic",
    "store",
    "replace-none",
    "store-reject",
];

#[test]
fn after_a_kill_it_shows_what_it_showed_and_nothing_happens_twice_with_the_broker_inside() {
    after_a_kill_it_shows_what_it_showed_and_nothing_happens_twice(Broker::Embedded);
}

#[test]
fn after_a_kill_it_shows_what_it_showed_and_nothing_happens_twice_with_kafka() {
    after_a_kill_it_shows_what_it_showed_and_nothing_happens_twice(Broker::Kafka);
}

fn after_a_kill_it_shows_what_it_showed_and_nothing_happens_twice(broker: Broker) {
    let (setup, copies) = with_probe(broker);
    let daemon = setup.start();
    send_some(&setup, &daemon);
    let before = stored(&daemon);
    let [dead, copied] = effects(&setup, &daemon, &copies);
    assert!(dead > 100 && copied > 100, "{dead} dead, {copied} copied");
    daemon.kill();

    // The daemon is ready only once the view is restored.
    let daemon = setup.start();
    assert_eq!(stored(&daemon), before);
    // After the replay, a new record has its effects again.
    daemon.send(r#"{"id":"after","tipo":"emit"}"#);
    setup.wait_until_committed(&daemon);
    let now = effects(&setup, &daemon, &copies);
    assert_eq!(now, [dead, copied + 1]);
    daemon.wait_for_log("the view of a partition is restored");
    assert_eq!(daemon.metric_sum("eventos_restore_records"), 0.0);
    assert_eq!(daemon.metric_sum("eventos_dead_letters_total"), 0.0);
    assert_eq!(daemon.metric_sum("eventos_consumed_total"), 1.0);
}

#[test]
fn a_chain_that_changed_meanwhile_gives_what_it_gives_now() {
    let (setup, _) = with_probe(Broker::Embedded);
    let daemon = setup.start();
    send_some(&setup, &daemon);
    let before = daemon.wait_for_messages(count(&daemon)).len();
    assert!(daemon.stop().success());

    fs::remove_file(setup.dir.path().join("plugins/00-probe.wasm"))
        .expect("the handler is removed");
    let daemon = setup.start();
    let now = count(&daemon);
    assert_ne!(now, before);
    assert_eq!(now, 9 * 120, "`store` alone stores all of them");
}

#[test]
fn a_handler_that_stops_partitions_stops_them_in_a_replay_too() {
    let config = "[handler.probe]\non_error = \"stop\"\n";
    let setup = setup(Broker::Embedded, &["store"], config);
    let daemon = setup.start();
    daemon.send(r#"{"id":"it","tipo":"panic"}"#);
    setup.wait_until_committed(&daemon);
    daemon.kill();

    let probe = setup.dir.path().join("plugins/50-probe.wasm");
    fs::copy(eventos_testkit::handler("probe"), &probe).expect("the handler is copied");
    let daemon = setup.start_listening();
    daemon.wait_for_log("partition halted");
    let pending = daemon.get("/readyz").text;
    assert!(pending.contains("restored"), "{pending}");

    fs::remove_file(&probe).expect("the handler is removed");
    daemon.wait_until_ready();
    assert_eq!(stored(&daemon), r#"[{"id":"it","tipo":"panic"}]"#);
}

#[test]
fn without_restore_it_starts_empty() {
    let setup = setup(Broker::Embedded, &["store"], "[store]\nrestore = false\n");
    let daemon = setup.start();
    daemon.send(r#"{"id":"before","tipo":"t"}"#);
    setup.wait_until_committed(&daemon);
    daemon.kill();

    let daemon = setup.start();
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    setup.wait_until_committed(&daemon);
    assert_eq!(stored(&daemon), r#"[{"id":"after","tipo":"t"}]"#);
}

/// Prepares a daemon with `probe` before `store`. Returns the topic that `probe` emits to, too, whose name is unique because the
/// tests share one Kafka.
fn with_probe(broker: Broker) -> (Setup, String) {
    let copies = format!("copies-{}", std::process::id());
    let config =
        format!("[handler.probe]\nproduce = [{copies:?}]\nconfig = {{ emit_to = {copies:?} }}\n");
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &copies, 1);
    }
    (setup(broker, &["probe", "store"], &config), copies)
}

fn send_some(setup: &Setup, daemon: &Daemon) {
    let evento = |i: usize| {
        // The first record of each partition is stored, so that the view begins at the beginning of the partition.
        let tipo = if i < 4 {
            "good"
        } else {
            TIPOS[i * 7 / 4 % TIPOS.len()]
        };
        // The timestamps are not in the order of the offsets.
        let at = i64::try_from(i * 37 % 1_000).expect("small");
        (format!(r#"{{"id":"e{i}","tipo":"{tipo}"}}"#), at)
    };
    let eventos: Vec<_> = (0..TIPOS.len() * 120).map(evento).collect();
    produce_all(daemon, &setup.topic(), &eventos);
    setup.wait_until_committed(daemon);
}

/// Returns the number of dead letters and the number of emitted copies.
fn effects(setup: &Setup, daemon: &Daemon, copies: &str) -> [usize; 2] {
    let dead = setup.read_dead_letters(daemon).len();
    [dead, read_topic(daemon.broker(), copies).len()]
}

fn count(daemon: &Daemon) -> usize {
    let stored: Vec<serde_json::Value> = serde_json::from_str(&stored(daemon)).expect("JSON");
    stored.len()
}
