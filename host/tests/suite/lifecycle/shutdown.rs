//! SIGTERM: the daemon finishes and commits the batches in flight, and no effect happens twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use eventos_testkit::{
    Broker, Daemon, Setup, committed_offsets, create_topic, end_offsets, eventually, read_topic,
    sismos, wait::pause,
};

use super::{batch::send_batch, ids_by_position, setup};
use crate::EVENTOS;

#[test]
fn a_restart_handles_only_what_is_new_with_the_broker_inside() {
    a_restart_handles_only_what_is_new(Broker::Embedded);
}

#[test]
fn a_restart_handles_only_what_is_new_with_kafka() {
    a_restart_handles_only_what_is_new(Broker::Kafka);
}

fn a_restart_handles_only_what_is_new(broker: Broker) {
    let setup = setup(broker);
    let daemon = setup.start();
    let sismos = sismos();
    daemon.send_all(&sismos);
    daemon.wait_for_messages(sismos.len());
    assert_eq!(daemon.metric_sum("eventos_consumed_total"), 1_707.0);

    let began = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    // The grace period is longer, but here nothing needs it.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");

    let daemon = setup.start();
    let ends = end_offsets(daemon.broker(), &setup.topic());
    assert_eq!(ends.iter().sum::<i64>(), 1_707);
    let committed = || committed_offsets(daemon.broker(), &setup.name, &setup.topic());
    assert_eq!(
        committed(),
        ends,
        "everything was committed before the stop"
    );
    for id in ["new-1", "new-2", "new-3"] {
        daemon.send(&format!(r#"{{"id":"{id}","tipo":"t"}}"#));
    }
    eventually("the new records to be committed", || {
        (committed() == end_offsets(daemon.broker(), &setup.topic())).then_some(())
    });
    assert_eq!(daemon.metric_sum("eventos_consumed_total"), 3.0);
}

#[test]
fn one_that_is_stopped_while_it_joins_ends_at_once_with_the_broker_inside() {
    one_that_is_stopped_while_it_joins_ends_at_once(Broker::Embedded);
}

#[test]
fn one_that_is_stopped_while_it_joins_ends_at_once_with_kafka() {
    one_that_is_stopped_while_it_joins_ends_at_once(Broker::Kafka);
}

/// Some of these moments lie between joining the group and the assignment, so partitions are assigned while the consumer closes.
fn one_that_is_stopped_while_it_joins_ends_at_once(broker: Broker) {
    let host = Setup::new(EVENTOS, broker, &["store"], "").start();
    let mut setup = Setup::new(EVENTOS, broker, &["store"], "");
    host.broker().clone_into(&mut setup.servers);
    for after_ms in (0..400).step_by(20) {
        let daemon = setup.start_listening();
        pause(Duration::from_millis(after_ms));
        let began = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0));
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(9),
            "after {after_ms} ms: {took:?}"
        );
    }
}

/// A stop while the handler has a batch that takes seconds, and more such batches are waiting.
#[test]
fn what_was_not_begun_is_left_for_later() {
    const SLOW: usize = 20;
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe"], "");
    setup.set_env("EVENTOS__HANDLER__PROBE__TIMEOUT", "2s");
    let daemon = setup.start();
    for id in 0..SLOW {
        // Sent one by one, each is a batch of its own.
        daemon.send(&format!(r#"{{"id":{id},"tipo":"spin"}}"#));
    }
    let letters = |setup: &Setup, daemon: &Daemon| setup.read_dead_letters(daemon).len();
    eventually("the first to time out", || {
        (letters(&setup, &daemon) > 0).then_some(())
    });
    assert_eq!(daemon.stop().code(), Some(0));

    // With a timeout that never comes, the letters are those that were sent before the stop.
    setup.set_env("EVENTOS__HANDLER__PROBE__TIMEOUT", "1h");
    let daemon = setup.start();
    let before_the_stop = letters(&setup, &daemon);
    assert!(before_the_stop < SLOW, "the stop waited for all batches");
    daemon.kill();

    setup.set_env("EVENTOS__HANDLER__PROBE__TIMEOUT", "100ms");
    let daemon = setup.start();
    eventually("all of them to time out", || {
        (letters(&setup, &daemon) >= SLOW).then_some(())
    });
    // Each has one dead letter: the batches in flight were finished before the stop.
    assert_eq!(letters(&setup, &daemon), SLOW);
}

/// A terminal that is closed sends SIGHUP more than once, and `nohup` is there to ignore it.
#[test]
fn a_hangup_drains_unless_it_is_ignored() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    // The tests themselves may run below `nohup`.
    setup.wrapper = ["env", "--default-signal=HUP"].map(str::to_owned).to_vec();
    let daemon = setup.start();
    let eventos: Vec<_> = (0..500)
        .map(|id| format!(r#"{{"id":{id},"tipo":"t"}}"#))
        .collect();
    daemon.send_all(&eventos);
    for _ in 0..3 {
        daemon.signal("HUP");
    }
    let (status, log) = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("SIGHUP") && log.contains("draining"), "{log}");

    setup.wrapper = vec!["nohup".to_owned()];
    let daemon = setup.start();
    daemon.signal("HUP");
    daemon.send(r#"{"id":500,"tipo":"t"}"#);
    daemon.wait_for_messages(501);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_batch_under_way_is_done_once_with_the_broker_inside() {
    a_batch_under_way_is_done_once(Broker::Embedded);
}

#[test]
fn a_batch_under_way_is_done_once_with_kafka() {
    a_batch_under_way_is_done_once(Broker::Kafka);
}

/// A stop during a request, while the handlers have batches. The answer is completed, or cut off after the grace period. In either
/// case, the topic has every acknowledged Evento, and after a restart the effect of each, here a record in another topic, is there
/// once.
fn a_batch_under_way_is_done_once(broker: Broker) {
    let mut setup = Setup::new(EVENTOS, broker, &["probe"], "");
    let copies = format!("{}-copies", setup.name);
    setup.set_env("EVENTOS__HANDLER__PROBE__PRODUCE", &copies);
    setup.set_env("EVENTOS__HANDLER__PROBE__CONFIG__EMIT_TO", &copies);
    let daemon = setup.start();
    create_topic(daemon.broker(), &copies, 1);
    let acknowledged = send_batch(&daemon, "emit", 10_000, || daemon.signal("TERM"));
    let (status, log) = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{log}");

    let daemon = setup.start();
    acknowledged.assert_in_topic_once(daemon.broker(), &setup.topic());
    setup.wait_until_committed(&daemon);
    let ids = |topic: &str| {
        let ids = ids_by_position(&read_topic(daemon.broker(), topic)).into_values();
        ids.collect::<BTreeSet<_>>()
    };
    assert!(
        ids(&copies) == ids(&setup.topic()),
        "the topics have different ids"
    );
}
