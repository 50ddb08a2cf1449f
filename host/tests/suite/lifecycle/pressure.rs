//! Too much at once: a handler that takes longer than `max.poll.interval.ms`, and more requests than the producer's queue holds.

use std::thread;

use eventos_testkit::{Broker, Setup, create_topic, eventually, produce, wait_until_committed};
use rdkafka::producer::BaseRecord;
use reqwest::StatusCode;
use serde_json::Value;

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
            let pad = "x".repeat(300);
            let eventos: Vec<_> = ids
                .map(|id| format!(r#"{{"id":{id},"tipo":"{tipo}","pad":"{pad}"}}"#))
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
        // While the handler runs, more comes than fits before the partition is paused.
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
fn what_is_kept_of_a_paused_partition_goes_on_after_it_was_revoked() {
    let config = "[handler.probe]\ntimeout = \"4s\"\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n";
    // The first strategy leaves most partitions with their members, the second one revokes all of them.
    for (broker, strategy) in [
        (Broker::Embedded, "cooperative-sticky"),
        (Broker::Kafka, "range"),
    ] {
        let properties = format!("{config}\"partition.assignment.strategy\" = {strategy:?}\n");
        revoke_a_paused_partition(broker, &properties);
    }
}

/// Lets a member join and leave the group while another one has a paused partition.
fn revoke_a_paused_partition(broker: Broker, config: &str) {
    const EVENTOS: i64 = 20_000;
    let setup = Setup::new(crate::EVENTOS, broker, &["probe", "store"], config);
    let topic = setup.topic();
    if broker == Broker::Kafka {
        // Its default is a single partition.
        create_topic(&broker.servers(), &topic, 4);
    }
    let daemon = setup.start();
    let pad = "x".repeat(300);
    let values = (0..EVENTOS).map(|id| {
        let tipo = if id == 0 { "spin" } else { "good" };
        format!(r#"{{"id":{id},"tipo":"{tipo}","pad":"{pad}"}}"#)
    });
    let values: Vec<_> = values.collect();
    let records = values.iter().map(|value| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic);
        record.partition(0).payload(value.as_bytes())
    });
    produce(daemon.broker(), records);
    eventually("the partition to be paused", || {
        let partitions = daemon.get("/partitions").json();
        let partitions = partitions.as_array()?;
        let is_paused = |one: &Value| one["partition"] == 0 && one["paused"] == true;
        partitions.iter().any(is_paused).then_some(())
    });

    let mut other = Setup::new(crate::EVENTOS, broker, &["probe", "store"], config);
    other.servers = daemon.broker().to_owned();
    other.name.clone_from(&setup.name);
    let other = other.start();
    eventually("the other member to have partitions", || {
        let partitions = other.get("/partitions").json();
        partitions
            .as_array()
            .filter(|all| !all.is_empty())
            .map(drop)
    });
    assert!(other.stop().success());
    wait_until_committed(daemon.broker(), &setup.name, &topic);
    // The store of the first member is restored with what the other one has handled.
    eventually("all but the slow Evento to be stored", || {
        let stored = daemon.metric_sum("eventos_store_events");
        (stored == (EVENTOS - 1) as f64).then_some(())
    });
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
