//! More than can be taken: handlers that are slower than the group's patience, and producing faster than the broker takes.

use std::thread;

use eventos_testkit::{Broker, Setup, produce};
use rdkafka::producer::BaseRecord;
use reqwest::StatusCode;

use crate::EVENTOS;

#[test]
fn a_handler_that_takes_longer_than_the_groups_patience_loses_no_partition() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let more = "[handler.probe]\ntimeout = \"9s\"\n\
                    [kafka.properties]\n\"max.poll.interval.ms\" = \"6000\"\n\"session.timeout.ms\" = \"6000\"\n";
        let setup = Setup::new(EVENTOS, broker, &["probe", "store"], more);
        let daemon = setup.start();
        let topic = setup.topic();
        let send = |tipo: &str, ids: std::ops::Range<u32>| {
            let eventos: Vec<_> = ids
                .map(|id| format!(r#"{{"id":{id},"tipo":"{tipo}"}}"#))
                .collect();
            let record = |evento| {
                BaseRecord::<[u8], [u8]>::to(&topic)
                    .partition(0)
                    .payload(evento)
            };
            produce(
                daemon.broker(),
                eventos.iter().map(|evento| record(evento.as_bytes())),
            );
        };
        // The group is settled, so that the slow one is handed in alone, and not again in halves.
        send("good", 0..1);
        daemon.wait_for_consumed(1);
        send("spin", 1..2);
        // Far more than what pauses the partition, while the handler runs.
        send("good", 2..20_001);
        daemon.wait_for_consumed(20_001);
        // Each once: nobody took the partition away, and gave it back.
        assert_eq!(daemon.wait_for_messages(20_000).len(), 20_000);
        assert_eq!(setup.read_dead_letters(&daemon).len(), 1);
        assert_eq!(daemon.sum("eventos_rebalances_total"), 1.0, "{broker:?}");
    }
}

#[test]
fn sending_more_than_the_queue_holds_is_told_to_come_again() {
    let more =
        "[kafka.properties]\n\"queue.buffering.max.messages\" = \"1\"\n\"linger.ms\" = \"500\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], more);
    let daemon = setup.start();
    let url = daemon.url("/send");
    let send = |id: usize| {
        let body = format!(r#"{{"id":{id},"tipo":"t"}}"#);
        let answer = daemon.client().post(&url).body(body);
        let answer = answer.header("content-type", "application/json").send();
        let answer = answer.expect("answered");
        let again = answer.headers().get("retry-after").cloned();
        (answer.status(), again)
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let senders: Vec<_> = (0..8).map(|id| scope.spawn(move || send(id))).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"))
            .collect()
    });
    let sent = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::OK)
        .count();
    let full: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS)
        .collect();
    assert_eq!(sent + full.len(), 8, "{answers:?}");
    assert!(sent >= 1 && !full.is_empty(), "{answers:?}");
    assert!(
        full.iter()
            .all(|(_, again)| again.as_ref().is_some_and(|again| again == "1")),
        "{answers:?}"
    );
    // What was refused is not there; what was acknowledged is.
    assert_eq!(daemon.wait_for_messages(sent).len(), sent);
    assert_eq!(send(8).0, StatusCode::OK);
}
