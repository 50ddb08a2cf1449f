//! The broker rejects a batch as a whole when one of its records is invalid.

use std::thread;

use super::*;

#[test]
fn one_invalid_record_condemns_no_other_with_the_broker_inside() {
    one_invalid_record_condemns_no_other(Broker::Embedded);
}

#[test]
fn one_invalid_record_condemns_no_other_with_kafka() {
    one_invalid_record_condemns_no_other(Broker::Kafka);
}

/// librdkafka reports one invalid record in a batch in another way than several, and several in another way than all.
fn one_invalid_record_condemns_no_other(broker: Broker) {
    for guarantee in GUARANTEES {
        let topics = Topics {
            output: &COMPACTED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let is_invalid = |id: usize| match id / 100 {
            0 => id == 7,
            1 => id == 103 || id == 111,
            _ => true,
        };
        let of = |partition: usize| {
            let ids = partition * 100..partition * 100 + 20;
            let samples = ids.map(|id| match is_invalid(id) {
                true => Sample::new(id, "good").without_key(),
                false => Sample::new(id, "good"),
            });
            samples.collect::<Vec<_>>()
        };
        for partition in 0..3 {
            let samples = of(usize::try_from(partition).expect("small"));
            fixture.produce(partition, &samples);
        }
        let daemon = fixture.start("");
        let output = fixture.ids(&daemon, &fixture.output());
        let letters = fixture.letters(&daemon);
        for partition in 0..3 {
            let ids = of(partition).into_iter().map(|sample| sample.id);
            let (invalid, valid): (Vec<_>, Vec<_>) = ids.partition(|id| is_invalid(*id));
            let here = |id: &usize| id / 100 == partition;
            let passed: Vec<_> = output.iter().copied().filter(here).collect();
            assert_eq!(passed, valid, "{broker:?} {guarantee}");
            let dead: Vec<_> = letters.iter().map(id).filter(here).collect();
            assert_eq!(dead, invalid, "{broker:?} {guarantee}");
        }
        let stage = letters[0].header("__connect.errors.stage");
        assert_eq!(stage, "output");
    }
}

#[test]
fn nothing_overtakes_what_is_sent_again_with_the_broker_inside() {
    nothing_overtakes_what_is_sent_again(Broker::Embedded);
}

#[test]
fn nothing_overtakes_what_is_sent_again_with_kafka() {
    nothing_overtakes_what_is_sent_again(Broker::Kafka);
}

/// Among many records, some are invalid, some are rejected by the handler, and some are too large.
fn nothing_overtakes_what_is_sent_again(broker: Broker) {
    for guarantee in GUARANTEES {
        let topics = Topics {
            output: &[
                ("cleanup.policy", "compact"),
                ("max.message.bytes", "100000"),
            ],
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let samples = (0..3_000).map(|id| match id {
            id if id % 97 == 13 => Sample::new(id, "good").without_key(),
            id if id % 103 == 17 => Sample::new(id, "reject"),
            id if id % 991 == 500 => Sample::new(id, "good").of_size(200_000),
            id => Sample::new(id, "good").of_size(500),
        });
        let samples: Vec<_> = samples.collect();
        fixture.produce(1, &samples);
        let daemon = fixture.start("");
        let is_dead =
            |sample: &&Sample| !sample.is_keyed || sample.tipo == "reject" || sample.size > 100_000;
        let (dead, passed): (Vec<_>, Vec<_>) = samples.iter().partition(is_dead);
        let ids = |samples: Vec<&Sample>| samples.into_iter().map(|it| it.id).collect::<Vec<_>>();
        let output = fixture.ids(&daemon, &fixture.output());
        assert_eq!(output, ids(passed), "{broker:?} {guarantee}");
        let letters: Vec<_> = fixture.letters(&daemon).iter().map(id).collect();
        assert_eq!(letters, ids(dead), "{broker:?} {guarantee}");
    }
}

#[test]
fn an_invalid_record_in_the_batch_of_others_is_the_only_one_that_is_not_sent() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let topics = Topics {
            eventos: &COMPACTED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, "at_least_once", &topics);
        // All of these requests wait for one another.
        let daemon = fixture.start("[kafka.properties]\n\"linger.ms\" = \"300\"");
        let send = |id: usize| {
            let query = if id == 5 { "" } else { "?key=k" };
            let body = Sample::new(id, "good").value();
            let sent = daemon.post_body(&format!("/send{query}"), "application/json", body);
            (id, sent.status.as_u16())
        };
        let statuses: Vec<_> = thread::scope(|scope| {
            let senders: Vec<_> = (0..20).map(|id| scope.spawn(move || send(id))).collect();
            senders
                .into_iter()
                .map(|sender| sender.join().expect("no panic"))
                .collect()
        });
        for (id, status) in statuses {
            let expected = if id == 5 { 502 } else { 200 };
            assert_eq!(status, expected, "{broker:?}: {id}");
        }
    }
}
