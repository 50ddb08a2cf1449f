//! Too much at once: a handler that takes longer than `max.poll.interval.ms`, and more requests than the producer's queue holds.

use std::thread;

use eventos_testkit::{Broker, Setup, produce};
use rdkafka::producer::BaseRecord;
use reqwest::StatusCode;

use crate::EVENTOS;

#[test]
fn a_handler_that_takes_longer_than_the_groups_patience_loses_no_partition() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let config = "[handler.probe]\ntimeout = \"9s\"\n\
                    [kafka.properties]\n\"max.poll.interval.ms\" = \"6000\"\n\"session.timeout.ms\" = \"6000\"\n";
        let setup = Setup::new(EVENTOS, broker, &["probe", "store"], config);
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
        // The group has settled, so that the slow Evento is in a batch of its own, and is not tried again in halves.
        send("good", 0..1);
        daemon.wait_for_consumed(1);
        send("spin", 1..2);
        // While the handler runs, far more records come than fit before the partition is paused.
        send("good", 2..20_001);
        daemon.wait_for_consumed(20_001);
        // Each is stored once: the group has not revoked the partition.
        assert_eq!(daemon.wait_for_messages(20_000).len(), 20_000);
        assert_eq!(setup.read_dead_letters(&daemon).len(), 1);
        assert_eq!(
            daemon.metric_sum("eventos_rebalances_total"),
            1.0,
            "{broker:?}"
        );
    }
}

#[test]
fn sending_more_than_the_queue_holds_is_told_to_come_again() {
    let config =
        "[kafka.properties]\n\"queue.buffering.max.messages\" = \"1\"\n\"linger.ms\" = \"500\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], config);
    let daemon = setup.start();
    let send = |id: usize| {
        let body = format!(r#"{{"id":{id},"tipo":"t"}}"#);
        daemon.post_body("/send", "application/json", body)
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
        .filter(|answer| answer.status == StatusCode::OK)
        .count();
    let full: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS)
        .collect();
    assert_eq!(sent + full.len(), 8, "{answers:?}");
    assert!(sent >= 1 && !full.is_empty(), "{answers:?}");
    assert!(
        full.iter()
            .all(|answer| answer.header("retry-after") == Some("1")),
        "{answers:?}"
    );
    // The acknowledged Eventos are stored, and the refused ones are not.
    assert_eq!(daemon.wait_for_messages(sent).len(), sent);
    assert_eq!(send(8).status, StatusCode::OK);
}
