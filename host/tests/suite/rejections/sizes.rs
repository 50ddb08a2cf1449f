//! A topic limits the size of a batch, not only that of a record.

use std::thread;

use eventos_testkit::{alter_topic, eventually};
use serde_json::Value;

use super::*;

const LIMITED: [(&str, &str); 1] = [("max.message.bytes", "100000")];

/// Sends Eventos of 1 KB to `/send/batch`, and checks that each is acknowledged.
fn send_batch(daemon: &Daemon, ids: std::ops::Range<usize>) {
    let eventos = ids.map(|id| Sample::new(id, "good").of_size(1_000).value());
    daemon.send_all(&eventos.collect::<Vec<_>>());
}

#[test]
fn every_evento_that_fits_is_sent_however_many_there_are() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let topics = Topics {
            eventos: &LIMITED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, "at_least_once", &topics);
        let daemon = fixture.start("");
        send_batch(&daemon, 0..3_000);
        let send = |size: usize| {
            let body = Sample::new(0, "good").of_size(size).value();
            daemon.post_body("/send", "application/json", body).status
        };
        thread::scope(|scope| {
            let senders: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| (0..5).map(|_| send(20_000)).all(|it| it == 200)))
                .collect();
            for sender in senders {
                assert!(sender.join().expect("no panic"), "{broker:?}");
            }
        });
        assert_eq!(send(99_000), 200);
        assert_eq!(send(101_000), 413);

        // Batches are as large as before when the topic suddenly accepts less.
        alter_topic(
            &fixture.servers,
            &fixture.setup.topic(),
            &[("max.message.bytes", "20000")],
        );
        eventually("the topic to accept less", || {
            (send(50_000) == 413).then_some(())
        });
        send_batch(&daemon, 0..3_000);
        assert_eq!(send(19_000), 200);
    }
}

#[test]
fn records_that_fit_go_out_in_their_order_with_the_broker_inside() {
    records_that_fit_go_out_in_their_order(Broker::Embedded);
}

#[test]
fn records_that_fit_go_out_in_their_order_with_kafka() {
    records_that_fit_go_out_in_their_order(Broker::Kafka);
}

fn records_that_fit_go_out_in_their_order(broker: Broker) {
    for guarantee in GUARANTEES {
        let topics = Topics {
            output: &LIMITED,
            emitted: &LIMITED,
            dead_letters: &LIMITED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let tipo = |id: usize| match id % 10 {
            3 => "reject",
            5 => "emit",
            _ => "good",
        };
        let samples = (0..5_000).map(|id| Sample::new(id, tipo(id)).of_size(1_000).without_key());
        fixture.produce(2, &samples.collect::<Vec<_>>());
        let daemon = fixture.start("");
        let of = |tipos: &[&str]| {
            let ids = (0..5_000).filter(|id| tipos.contains(&tipo(*id)));
            ids.collect::<Vec<_>>()
        };
        let output = fixture.ids(&daemon, &fixture.output());
        assert!(
            output == of(&["good", "emit"]),
            "{broker:?} {guarantee}: {output:?}"
        );
        assert_eq!(fixture.ids(&daemon, &fixture.emitted()), of(&["emit"]));
        let letters: Vec<_> = fixture.letters(&daemon).iter().map(id).collect();
        assert_eq!(letters, of(&["reject"]));

        // The topic accepts less than the daemon knows.
        alter_topic(
            &fixture.servers,
            &fixture.output(),
            &[("max.message.bytes", "5000")],
        );
        let more = (5_000..6_000).map(|id| Sample::new(id, tipo(id)).of_size(1_000).without_key());
        fixture.produce(2, &more.collect::<Vec<_>>());
        let output = fixture.ids(&daemon, &fixture.output());
        assert!(output.is_sorted(), "{broker:?} {guarantee}: {output:?}");
        assert_eq!(output.len(), 5_400);
    }
}

#[test]
fn letters_are_redriven_in_batches_that_fit() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let topics = Topics {
            eventos: &LIMITED,
            dead_letters: &LIMITED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, "at_least_once", &topics);
        let samples = (0..500).map(|id| Sample::new(id, "reject").of_size(1_000));
        for sample in samples.collect::<Vec<_>>().chunks(50) {
            fixture.produce(0, sample);
        }
        let daemon = fixture.start("");
        assert_eq!(fixture.letters(&daemon).len(), 500);
        let redriven = daemon.post("/dead-letters/redrive?all=true");
        let report: Value = redriven.assert_status(200).json();
        assert_eq!(
            (&report["redriven"], &report["failed"]),
            (&500.into(), &0.into())
        );
    }
}
