//! Consumer groups through librdkafka.

use std::collections::BTreeSet;

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;

use super::support::*;

/// Polls both until each of them has the number of partitions.
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
    // Leaving on its drop, it need not be waited for.
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
