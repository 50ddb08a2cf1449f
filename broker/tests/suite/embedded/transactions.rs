//! Transactions through librdkafka.

use std::time::Duration;

use eventos_testkit::wait::pause_async;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
    message::Message,
    producer::{FutureProducer, Producer},
    types::RDKafkaErrorCode,
};

use super::support::*;

/// Returns a producer with the transactional id.
fn transactional(broker: &TestBroker, id: &str, timeout_ms: u32) -> FutureProducer {
    let producer: FutureProducer = broker
        .client()
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout_ms.to_string())
        .create()
        .unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer
}

fn reader(broker: &TestBroker, isolation: &str) -> StreamConsumer {
    let consumer: StreamConsumer = broker
        .client()
        .set("group.id", isolation)
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    consumer
}

/// Returns the last stable offset and the end of partition 0 of "t".
fn ends(broker: &TestBroker) -> (i64, i64) {
    let end = |isolation: &str| {
        let consumer: BaseConsumer = broker
            .client()
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        consumer.fetch_watermarks("t", 0, DEADLINE).unwrap().1
    };
    (end("read_committed"), end("read_uncommitted"))
}

fn is_fenced(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(e) if e.is_fatal() && e.code() == RDKafkaErrorCode::Fenced)
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_seen_and_aborted_ones_are_not() {
    let broker = TestBroker::start().await;
    let producer = transactional(&broker, "p", 60_000);
    for (i, commit) in [true, false, true, false].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        for partition in 0..3 {
            let texts = numbered(&format!("{i}"), 0..10);
            send(&producer, "t", partition, texts).await;
        }
        match commit {
            true => producer.commit_transaction(DEADLINE).unwrap(),
            false => producer.abort_transaction(DEADLINE).unwrap(),
        }
    }
    // Ten records and a control batch per transaction.
    assert_eq!(ends(&broker), (44, 44));
    let broker = broker.restart_in_place().await;
    let got = texts(&receive(&reader(&broker, "read_committed"), 60).await);
    assert!(
        got.iter().all(|t| t.starts_with('0') || t.starts_with('2')),
        "{got:?}"
    );
    let got = receive(&reader(&broker, "read_uncommitted"), 120).await;
    assert!(texts(&got).contains(&"3 9".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_past_an_open_transaction_until_it_ends() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, numbered("before", 0..3)).await;
    let producer = transactional(&broker, "p", 60_000);
    producer.begin_transaction().unwrap();
    send(&producer, "t", 0, numbered("within", 0..2)).await;
    send(&broker.producer(), "t", 0, numbered("after", 0..2)).await;
    assert_eq!(ends(&broker), (3, 7));

    let committed = reader(&broker, "read_committed");
    let first = texts(&receive(&committed, 3).await);
    assert_eq!(first, numbered("before", 0..3));
    let early = tokio::time::timeout(Duration::from_millis(300), committed.recv()).await;
    assert!(early.is_err(), "{:?}", early.map(|m| m.map(|m| m.offset())));
    let all = receive(&reader(&broker, "read_uncommitted"), 7).await;
    assert_eq!(texts(&all)[5..], numbered("after", 0..2));

    producer.commit_transaction(DEADLINE).unwrap();
    let rest = texts(&receive(&committed, 4).await);
    assert_eq!(
        rest,
        [numbered("within", 0..2), numbered("after", 0..2)].concat()
    );
    assert_eq!(ends(&broker), (8, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_open_for_too_long_is_aborted_and_its_producer_fenced() {
    let broker = TestBroker::start().await;
    let producer = transactional(&broker, "p", 1_000);
    producer.begin_transaction().unwrap();
    send(&producer, "t", 0, numbered("late", 0..2)).await;
    assert_eq!(ends(&broker), (0, 2));
    within(async {
        while ends(&broker) != (3, 3) {
            pause_async(Duration::from_millis(100)).await;
        }
    })
    .await;
    let refused = producer.commit_transaction(DEADLINE).unwrap_err();
    assert!(is_fenced(&refused), "{refused:?}");
    send(&broker.producer(), "t", 0, ["plain".to_owned()]).await;
    let got = receive(&reader(&broker, "read_committed"), 1).await;
    assert_eq!(texts(&got), ["plain"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_producer_aborts_and_fences_the_first() {
    let broker = TestBroker::start().await;
    let first = transactional(&broker, "p", 60_000);
    first.begin_transaction().unwrap();
    send(&first, "t", 0, ["of the first".to_owned()]).await;
    let second = transactional(&broker, "p", 60_000);
    assert_eq!(ends(&broker), (2, 2));
    second.begin_transaction().unwrap();
    send(&second, "t", 0, ["of the second".to_owned()]).await;
    let refused = first.commit_transaction(DEADLINE).unwrap_err();
    assert!(is_fenced(&refused), "{refused:?}");
    second.commit_transaction(DEADLINE).unwrap();
    let got = receive(&reader(&broker, "read_committed"), 1).await;
    assert_eq!(texts(&got), ["of the second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_stays_open_over_a_kill() {
    let mut broker = TestBroker::start().await;
    let producer = transactional(&broker, "p", 60_000);
    for commit in [true, false] {
        producer.begin_transaction().unwrap();
        send(&producer, "t", 0, [format!("{commit} before")]).await;
        broker = broker.restart_in_place().await;
        send(&producer, "t", 0, [format!("{commit} after")]).await;
        match commit {
            true => producer.commit_transaction(DEADLINE).unwrap(),
            false => producer.abort_transaction(DEADLINE).unwrap(),
        }
    }
    assert_eq!(ends(&broker), (6, 6));
    let got = receive(&reader(&broker, "read_committed"), 2).await;
    assert_eq!(texts(&got), ["true before", "true after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_with_the_transaction_or_not_at_all() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, numbered("m", 0..10)).await;
    let consumer = reader(&broker, "read_committed");
    receive(&consumer, 10).await;
    let committed = || {
        let mut requested = TopicPartitionList::new();
        requested.add_partition("t", 0);
        let found = consumer.committed_offsets(requested, DEADLINE).unwrap();
        found.find_partition("t", 0).unwrap().offset()
    };
    let next = |offset| {
        let mut next = TopicPartitionList::new();
        next.add_partition_offset("t", 0, Offset::Offset(offset))
            .unwrap();
        next
    };
    consumer.commit(&next(1), CommitMode::Sync).unwrap();
    let producer = transactional(&broker, "p", 60_000);
    for (offset, commit) in [(5, false), (7, true), (9, false)] {
        let before = committed();
        producer.begin_transaction().unwrap();
        let group = consumer.group_metadata().unwrap();
        producer
            .send_offsets_to_transaction(&next(offset), &group, DEADLINE)
            .unwrap();
        match commit {
            true => producer.commit_transaction(DEADLINE).unwrap(),
            false => producer.abort_transaction(DEADLINE).unwrap(),
        }
        let expected = if commit {
            Offset::Offset(offset)
        } else {
            before
        };
        assert_eq!(committed(), expected);
    }
}
