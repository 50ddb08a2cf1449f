//! Records that wait because their topic is missing, or rejects a dead letter: the daemon says so, and nothing else waits.

use eventos_testkit::{alter_topic, delete_topic, eventually};

use super::*;

/// Waits until `/readyz` says that records wait for a topic, and the log does.
fn wait_for_topic_fault(daemon: &Daemon, topic: &str) {
    eventually(&format!("{topic} at /readyz"), || {
        let ready = daemon.get("/readyz").json();
        let is_pending = ready["pending"].as_array()?.contains(&"topic".into());
        (is_pending && ready["detail"].as_str()?.contains(topic)).then_some(())
    });
    let log = daemon.wait_for_log("records wait for a topic");
    let mut lines = log.lines();
    assert!(
        lines.any(|line| line.contains("records wait for a topic") && line.contains(topic)),
        "{log}"
    );
}

#[test]
fn only_the_partition_of_an_undeliverable_letter_waits_with_the_broker_inside() {
    only_the_partition_of_an_undeliverable_letter_waits(Broker::Embedded);
}

#[test]
fn only_the_partition_of_an_undeliverable_letter_waits_with_kafka() {
    only_the_partition_of_an_undeliverable_letter_waits(Broker::Kafka);
}

fn only_the_partition_of_an_undeliverable_letter_waits(broker: Broker) {
    for guarantee in GUARANTEES {
        let topics = Topics {
            dead_letters: &COMPACTED,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let daemon = fixture.start("");
        let samples = [
            Sample::new(0, "good"),
            Sample::new(1, "reject").without_key(),
            Sample::new(2, "good"),
        ];
        fixture.produce(0, &samples);
        fixture.produce(0, &[Sample::new(3, "good")]);
        let letters = fixture.setup.dead_letter_topic();
        wait_for_topic_fault(&daemon, &letters);
        // There is a worker for each core, so other partitions have the same one.
        let others: Vec<_> = (1..PARTITIONS).collect();
        for &partition in &others {
            let id = usize::try_from(partition).expect("small") * 10;
            fixture.produce(
                partition,
                &[Sample::new(id, "good"), Sample::new(id + 1, "reject")],
            );
        }
        eventually("the other partitions to be handled", || {
            let there = read_topic(&fixture.servers, &fixture.output());
            let there: Vec<_> = there.into_iter().map(|it| id(&it.into())).collect();
            others
                .iter()
                .all(|partition| there.contains(&(*partition as usize * 10)))
                .then_some(())
        });
        daemon.get("/readyz").problem(503, "not-ready");

        alter_topic(&fixture.servers, &letters, &[]);
        let mut output = fixture.ids(&daemon, &fixture.output());
        output.dedup();
        let first: Vec<_> = output.iter().copied().filter(|id| *id < 10).collect();
        assert_eq!(first, [0, 2, 3], "{broker:?} {guarantee}");
        let mut dead: Vec<_> = fixture.letters(&daemon).iter().map(id).collect();
        dead.sort_unstable();
        assert_eq!(dead, [1, 11, 21, 31], "{broker:?} {guarantee}");
        daemon.wait_until_ready();
    }
}

#[test]
fn a_topic_that_disappears_is_created_again_with_the_broker_inside() {
    a_topic_that_disappears_is_created_again(Broker::Embedded);
}

#[test]
fn a_topic_that_disappears_is_created_again_with_kafka() {
    a_topic_that_disappears_is_created_again(Broker::Kafka);
}

fn a_topic_that_disappears_is_created_again(broker: Broker) {
    for guarantee in GUARANTEES {
        let mut fixture = Fixture::new(broker, guarantee, &Topics::default());
        let daemon = fixture.start("");
        fixture.produce(0, &[Sample::new(0, "good"), Sample::new(1, "reject")]);
        assert_eq!(fixture.letters(&daemon).len(), 1);
        for topic in [fixture.setup.dead_letter_topic(), fixture.output()] {
            delete_topic(&fixture.servers, &topic);
        }
        fixture.produce(0, &[Sample::new(2, "good"), Sample::new(3, "reject")]);
        fixture.setup.wait_until_committed(&daemon);
        let sent = |topic: &str| {
            wait_until_settled(&fixture.servers, topic);
            let records = read_topic(&fixture.servers, topic).into_iter();
            records.map(|it| id(&it.into())).collect::<Vec<_>>()
        };
        // The first records went with the topics.
        assert!(
            sent(&fixture.output()).ends_with(&[2]),
            "{broker:?} {guarantee}"
        );
        assert!(sent(&fixture.setup.dead_letter_topic()).ends_with(&[3]));
        daemon.wait_until_ready();
    }
}
