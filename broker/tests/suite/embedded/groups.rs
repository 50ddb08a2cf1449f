//! Consumer groups through librdkafka.

use std::collections::BTreeSet;

use rdkafka::{
    consumer::{CommitMode, Consumer, StreamConsumer},
    message::Message,
};

use super::support::*;

/// Polls the consumers until each has this many partitions.
async fn until_assigned(consumers: &[&StreamConsumer], each: usize) {
    let assigned = |c: &&StreamConsumer| c.assignment().map(|a| a.count()).unwrap_or(0) == each;
    within(async {
        while !consumers.iter().all(assigned) {
            for consumer in consumers {
                let poll =
                    tokio::time::timeout(std::time::Duration::from_millis(20), consumer.recv());
                let _ = poll.await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_partitions_and_one_inherits_them() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let first = broker.consumer("g", &["t"]);
    until_assigned(&[&first], 4).await;
    let second = broker.consumer("g", &["t"]);
    until_assigned(&[&first, &second], 2).await;
    let partitions = |c: &StreamConsumer| -> BTreeSet<i32> {
        let assignment = c.assignment().unwrap();
        assignment
            .elements()
            .iter()
            .map(|e| e.partition())
            .collect()
    };
    assert!(partitions(&first).is_disjoint(&partitions(&second)));
    // A consumer that is dropped leaves the group at once.
    drop(first);
    until_assigned(&[&second], 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_committed_over_a_kill() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 1, numbered("m", 0..100)).await;
    let consumer = broker.consumer("g", &["t"]);
    let got = receive(&consumer, 40).await;
    let mut done = rdkafka::TopicPartitionList::new();
    let next = rdkafka::Offset::Offset(got[39].offset() + 1);
    done.add_partition_offset("t", 1, next).unwrap();
    consumer.commit(&done, CommitMode::Sync).unwrap();
    drop(consumer);

    let broker = broker.restart_after(|| {}).await;
    let got = receive(&broker.consumer("g", &["t"]), 60).await;
    assert_eq!(texts(&got), numbered("m", 40..100));
    let other = receive(&broker.consumer("other", &["t"]), 100).await;
    assert_eq!(texts(&other), numbered("m", 0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_with_their_members() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let consumer = broker.consumer("listed", &["t"]);
    receive(&consumer, 1).await;
    let groups = consumer.fetch_group_list(Some("listed"), DEADLINE).unwrap();
    let group = &groups.groups()[0];
    assert_eq!((group.name(), group.state()), ("listed", "Stable"));
    assert_eq!(group.members().len(), 1);
}

fn member(broker: &TestBroker, settings: &[(&str, &str)]) -> StreamConsumer {
    let mut config = broker.client();
    config
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "100");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: StreamConsumer = config.create().unwrap();
    consumer.subscribe(&["t"]).unwrap();
    consumer
}

fn assigned(consumer: &StreamConsumer) -> BTreeSet<i32> {
    let assignment = consumer.assignment().unwrap();
    let elements = assignment.elements();
    elements.iter().map(|element| element.partition()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cooperative_members_keep_what_they_need_not_give() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let first = member(&broker, &cooperative);
    until_assigned(&[&first], 4).await;
    let second = member(&broker, &cooperative);
    // The first member must never lose all of its partitions, not even for a moment.
    let mut fewest = 4;
    within(async {
        while assigned(&second).len() < 2 {
            for consumer in [&first, &second] {
                let poll =
                    tokio::time::timeout(std::time::Duration::from_millis(10), consumer.recv());
                let _ = poll.await;
                fewest = fewest.min(assigned(&first).len());
            }
        }
    })
    .await;
    assert_eq!((fewest, assigned(&first).len()), (2, 2));
    assert!(assigned(&first).is_disjoint(&assigned(&second)));
    drop(second);
    until_assigned(&[&first], 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_finds_its_partitions_after_a_restart_and_the_other_notices_nothing() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let first = member(&broker, &[("group.instance.id", "one")]);
    until_assigned(&[&first], 4).await;
    let second = member(&broker, &[("group.instance.id", "two")]);
    until_assigned(&[&first, &second], 2).await;
    let (of_first, of_second) = (assigned(&first), assigned(&second));
    let generation = || {
        let groups = first.fetch_group_list(Some("g"), DEADLINE).unwrap();
        let members = groups.groups()[0].members().len();
        (groups.groups()[0].state().to_owned(), members)
    };
    drop(second);
    assert_eq!(
        generation(),
        ("Stable".to_owned(), 2),
        "it is expected back"
    );
    let second = member(&broker, &[("group.instance.id", "two")]);
    until_assigned(&[&second], 2).await;
    assert_eq!((assigned(&first), assigned(&second)), (of_first, of_second));
    assert_eq!(generation(), ("Stable".to_owned(), 2));
}

/// The broker lacks the protocol of KIP-848, and a client that insists on it gets an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_the_newer_protocol_gets_an_error_and_does_not_hang() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let mut config = broker.client();
    let consumer: StreamConsumer = config
        .set("group.id", "g")
        .set("group.protocol", "consumer")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let error = within(consumer.recv())
        .await
        .map(|m| m.offset())
        .unwrap_err();
    let code = error.rdkafka_error_code();
    assert_eq!(
        code,
        Some(rdkafka::types::RDKafkaErrorCode::UnsupportedVersion),
        "{error:?}"
    );
}
