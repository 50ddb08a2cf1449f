//! SIGTERM: what was begun is finished and committed, and nothing is done twice.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{
    Broker, Daemon, Setup, committed, create_topic, ends, eventually, read_topic, sismos,
};

use super::{batch::send_batch, ids_by_place, setup};
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
    send_lines(&daemon, &sismos);
    daemon.wait_for_messages(sismos.len());
    assert_eq!(daemon.sum("eventos_consumed_total"), 1_707.0);

    let began = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    // The grace for what hangs is longer; here nothing does.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");

    let daemon = setup.start();
    let ends_now = ends(daemon.broker(), &setup.topic());
    assert_eq!(ends_now.iter().sum::<i64>(), 1_707);
    let committed = || committed(daemon.broker(), &setup.name, &setup.topic());
    assert_eq!(committed(), ends_now, "before anything new came");
    for id in ["new-1", "new-2", "new-3"] {
        daemon.send(&format!(r#"{{"id":"{id}","tipo":"t"}}"#));
    }
    eventually("the new ones to be committed", || {
        (committed() == ends(daemon.broker(), &setup.topic())).then_some(())
    });
    assert_eq!(daemon.sum("eventos_consumed_total"), 3.0);
}

#[test]
fn one_that_is_stopped_while_it_joins_ends_at_once_with_the_broker_inside() {
    one_that_is_stopped_while_it_joins_ends_at_once(Broker::Embedded);
}

#[test]
fn one_that_is_stopped_while_it_joins_ends_at_once_with_kafka() {
    one_that_is_stopped_while_it_joins_ends_at_once(Broker::Kafka);
}

/// Some of these moments are between asking for partitions and getting them: they are assigned while the consumer closes.
fn one_that_is_stopped_while_it_joins_ends_at_once(broker: Broker) {
    let host = Setup::new(EVENTOS, broker, &["store"], "").start();
    let mut setup = Setup::new(EVENTOS, broker, &["store"], "");
    host.broker().clone_into(&mut setup.servers);
    for after_ms in (0..400).step_by(20) {
        let daemon = setup.spawn();
        // Not to wait for anything: another moment each time.
        thread::sleep(Duration::from_millis(after_ms));
        let began = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0));
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(9),
            "after {after_ms} ms: {took:?}"
        );
    }
}

/// With a batch in hand that takes seconds, and more of them behind it.
#[test]
fn what_was_not_begun_is_left_for_later() {
    const SLOW: usize = 20;
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe"], "");
    setup.set("EVENTOS__HANDLER__PROBE__TIMEOUT", "2s");
    let daemon = setup.start();
    let began = Instant::now();
    for id in 0..SLOW {
        // One by one, so that each is a batch.
        daemon.send(&format!(r#"{{"id":{id},"tipo":"spin"}}"#));
    }
    let letters = |setup: &Setup, daemon: &Daemon| setup.read_dead_letters(daemon).len();
    eventually("the first to be given up", || {
        (letters(&setup, &daemon) > 0).then_some(())
    });
    let one = began.elapsed();
    let stopped = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    // All of them would take some ten times as long as one, on two workers.
    let took = stopped.elapsed();
    assert!(took < one * 4, "{took:?}, and the first {one:?}");

    setup.set("EVENTOS__HANDLER__PROBE__TIMEOUT", "100ms");
    let daemon = setup.start();
    eventually("all of them to be given up", || {
        (letters(&setup, &daemon) >= SLOW).then_some(())
    });
    // Each once: what was begun is done.
    assert_eq!(letters(&setup, &daemon), SLOW);
}

#[test]
fn a_batch_under_way_is_done_once_with_the_broker_inside() {
    a_batch_under_way_is_done_once(Broker::Embedded);
}

#[test]
fn a_batch_under_way_is_done_once_with_kafka() {
    a_batch_under_way_is_done_once(Broker::Kafka);
}

/// Stopped with a request under way, and with batches in the handlers. The request is answered to
/// its end, or cut off after the grace; what was acknowledged is in the topic in either case, and
/// after a restart the effect of each Evento, here a record in another topic, is there once.
fn a_batch_under_way_is_done_once(broker: Broker) {
    let mut setup = Setup::new(EVENTOS, broker, &["probe"], "");
    let copies = format!("{}-copies", setup.name);
    setup.set("EVENTOS__HANDLER__PROBE__PRODUCE", &copies);
    setup.set("EVENTOS__HANDLER__PROBE__CONFIG__EMIT_TO", &copies);
    let daemon = setup.start();
    create_topic(daemon.broker(), &copies, 1);
    let acknowledged = send_batch(&daemon, "emit", 10_000, || daemon.signal("TERM"));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");

    let daemon = setup.start();
    acknowledged.assert_in_topic_once(daemon.broker(), &setup.topic());
    eventually("all of it to be committed", || {
        let ends = ends(daemon.broker(), &setup.topic());
        (committed(daemon.broker(), &setup.name, &setup.topic()) == ends).then_some(())
    });
    let ids = |topic: &str| {
        let ids = ids_by_place(&read_topic(daemon.broker(), topic)).into_values();
        ids.collect::<BTreeSet<_>>()
    };
    assert!(ids(&copies) == ids(&setup.topic()), "they differ");
}

fn send_lines(daemon: &Daemon, lines: &[String]) {
    let request = daemon.client().post(daemon.url("/send/batch"));
    let answer = request.body(lines.join("\n")).send().expect("answered");
    let answer = answer.text().expect("a body");
    let sent = answer.lines().filter(|line| line.contains("message sent"));
    assert_eq!(sent.count(), lines.len());
}
