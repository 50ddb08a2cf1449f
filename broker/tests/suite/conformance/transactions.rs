//! Transactions, as producers and consumers see them.

use std::time::Duration;

use eventos_testkit::{
    DEADLINE, eventually,
    raw::{COMMITTED, LATEST, UNCOMMITTED},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::KafkaError,
    producer::{FutureProducer, Producer},
    types::RDKafkaErrorCode,
};

use super::{
    compression::batches,
    on_both,
    subject::{Subject, at, code, texts, to},
};

/// Sends texts to partition 0 in a transaction.
fn transact(subject: &Subject, producer: &FutureProducer, topic: &str, texts: &[&str], end: End) {
    producer.begin_transaction().expect("begun");
    subject.send_all(producer, topic, 0, texts);
    finish(producer, end);
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Commit,
    Abort,
}

fn finish(producer: &FutureProducer, end: End) {
    match end {
        End::Commit => producer.commit_transaction(DEADLINE).expect("committed"),
        End::Abort => producer.abort_transaction(DEADLINE).expect("aborted"),
    }
}

/// Waits for the control batches of ended transactions, which Kafka writes after its response. None may be open.
pub(super) fn await_markers(subject: &Subject, topic: &str) {
    eventually("the markers", || {
        let [stable, end] = ends(subject, topic);
        (stable == end).then_some(())
    });
}

/// Returns what consumers with either isolation level read from partition 0.
fn seen(subject: &Subject, topic: &str) -> [String; 2] {
    ["read_committed", "read_uncommitted"].map(|level| {
        let all = subject.read(topic, 0, level);
        texts(&all).join(" ")
    })
}

/// Returns the end of partition 0 for either isolation level.
fn ends(subject: &Subject, topic: &str) -> [i64; 2] {
    let mut raw = subject.raw();
    [COMMITTED, UNCOMMITTED].map(|level| raw.list_offset(topic, 0, LATEST, level).1)
}

/// Returns the error code of a transaction, and whether the error is fatal for the producer.
fn outcome_of(result: Result<(), KafkaError>) -> Result<(), (RDKafkaErrorCode, bool)> {
    result.map_err(|error| match error {
        KafkaError::Transaction(error) => (error.code(), error.is_fatal()),
        other => (code(&other), false),
    })
}

#[test]
fn what_is_committed_is_read_and_what_is_aborted_is_not() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.transactional(&subject.name("p"), &[]);
        transact(subject, &producer, &topic, &["a", "b"], End::Commit);
        transact(subject, &producer, &topic, &["c"], End::Abort);
        transact(subject, &producer, &topic, &["d"], End::Commit);
        await_markers(subject, &topic);
        let places = subject.read(&topic, 0, "read_committed");
        let places: Vec<_> = places.iter().map(|r| r.offset).collect();
        (seen(subject, &topic), ends(subject, &topic), places)
    })
    .agree_on((
        ["a b d", "a b c d"].map(str::to_owned),
        // Each transaction ends with a control batch.
        [7, 7],
        vec![0, 1, 5],
    ));
}

#[test]
fn transactions_of_several_producers_and_plain_messages_are_told_apart() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let good = subject.transactional(&subject.name("p"), &[]);
        let bad = subject.transactional(&subject.name("p"), &[]);
        for producer in [&good, &bad] {
            producer.begin_transaction().expect("begun");
        }
        subject.send_all(&good, &topic, 0, &["good"]);
        subject.fill(&topic, 0, &["plain"]);
        subject.send_all(&bad, &topic, 0, &["bad"]);
        subject.send_all(&good, &topic, 0, &["better"]);
        finish(&bad, End::Abort);
        subject.fill(&topic, 0, &["last"]);
        finish(&good, End::Commit);
        await_markers(subject, &topic);
        (seen(subject, &topic), ends(subject, &topic))
    })
    .agree_on((
        ["good plain better last", "good plain bad better last"].map(str::to_owned),
        [7, 7],
    ));
}

#[test]
fn nothing_behind_an_open_transaction_is_read_as_committed() {
    on_both(|subject| {
        let topic = subject.topic(1);
        subject.fill(&topic, 0, &["before"]);
        let producer = subject.transactional(&subject.name("p"), &[]);
        producer.begin_transaction().expect("begun");
        subject.send_all(&producer, &topic, 0, &["within"]);
        subject.fill(&topic, 0, &["after"]);
        let open = (seen(subject, &topic), ends(subject, &topic));
        finish(&producer, End::Commit);
        await_markers(subject, &topic);
        (open, (seen(subject, &topic), ends(subject, &topic)))
    })
    .agree_on((
        (["before", "before within after"].map(str::to_owned), [1, 3]),
        (
            ["before within after", "before within after"].map(str::to_owned),
            [4, 4],
        ),
    ));
}

#[test]
fn compressed_batches_are_committed_and_aborted_whole() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let settings = [("compression.type", "lz4"), ("linger.ms", "200")];
        let producer = subject.transactional(&subject.name("p"), &settings);
        let value = "a".repeat(200);
        transact(subject, &producer, &topic, &[&value, &value], End::Abort);
        transact(subject, &producer, &topic, &[&value, &value], End::Commit);
        await_markers(subject, &topic);
        let read = subject.read(&topic, 0, "read_committed");
        let places: Vec<_> = read.iter().map(|r| r.offset).collect();
        let batches = batches(&mut subject.raw(), &topic);
        let sizes: Vec<_> = batches.iter().map(|(c, n)| (*c as u8, *n)).collect();
        (places, sizes)
    })
    .agree_on((vec![3, 4], vec![(3, 2), (0, 1), (3, 2), (0, 1)]));
}

#[test]
fn a_fetch_of_what_is_committed_names_what_is_aborted() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.transactional(&subject.name("p"), &[]);
        transact(subject, &producer, &topic, &["a"], End::Commit);
        transact(subject, &producer, &topic, &["b", "c"], End::Abort);
        transact(subject, &producer, &topic, &["d"], End::Abort);
        await_markers(subject, &topic);
        let mut raw = subject.raw();
        let mut aborted = |offset, level| {
            let fetched = raw.fetch(&topic, 0, offset, level);
            let aborted = fetched.aborted_transactions.unwrap_or_default();
            let mut firsts: Vec<_> = aborted.iter().map(|a| a.first_offset).collect();
            firsts.sort_unstable();
            firsts
        };
        [
            aborted(0, COMMITTED),
            aborted(3, COMMITTED),
            aborted(5, COMMITTED),
            aborted(0, UNCOMMITTED),
        ]
    })
    .agree_on([vec![2, 5], vec![2, 5], vec![5], vec![]]);
}

#[test]
fn a_transaction_without_messages_leaves_nothing() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.transactional(&subject.name("p"), &[]);
        transact(subject, &producer, &topic, &[], End::Commit);
        transact(subject, &producer, &topic, &[], End::Abort);
        transact(subject, &producer, &topic, &["a"], End::Commit);
        await_markers(subject, &topic);
        (seen(subject, &topic), ends(subject, &topic))
    })
    .agree_on((["a", "a"].map(str::to_owned), [2, 2]));
}

#[test]
fn a_transactional_producer_sends_only_within_a_transaction() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.transactional(&subject.name("p"), &[]);
        let outside = subject.send(&producer, to(&topic).payload(b"x"));
        let commit = outcome_of(producer.commit_transaction(DEADLINE));
        (outside, commit)
    })
    .agree_on((
        Err(RDKafkaErrorCode::State),
        Err((RDKafkaErrorCode::State, false)),
    ));
}

#[test]
fn offsets_are_committed_with_their_transaction_or_not_at_all() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let producer = subject.transactional(&subject.name("p"), &[]);
        let consumer = subject.consumer(&group, &[]);
        let offset = |offset| at(&topic, 0, Offset::Offset(offset));
        let committed = || {
            let mut requested = TopicPartitionList::new();
            requested.add_partition(&topic, 0);
            let found = consumer.committed_offsets(requested, DEADLINE);
            found.expect("answered").elements()[0].offset()
        };
        consumer
            .commit(&offset(1), CommitMode::Sync)
            .expect("committed");
        [(5, End::Abort), (7, End::Commit), (9, End::Abort)].map(|(next, end)| {
            producer.begin_transaction().expect("begun");
            let members = consumer.group_metadata().expect("a group");
            let sent = producer.send_offsets_to_transaction(&offset(next), &members, DEADLINE);
            sent.expect("sent");
            finish(&producer, end);
            committed()
        })
    })
    .agree_on([1, 7, 7].map(Offset::Offset));
}

#[test]
fn a_second_producer_of_the_id_aborts_and_fences_the_first() {
    on_both(|subject| {
        let (topic, id) = (subject.topic(1), subject.name("p"));
        let first = subject.transactional(&id, &[]);
        first.begin_transaction().expect("begun");
        subject.send_all(&first, &topic, 0, &["first"]);
        let second = subject.transactional(&id, &[]);
        transact(subject, &second, &topic, &["second"], End::Commit);
        let commit = outcome_of(first.commit_transaction(DEADLINE));
        await_markers(subject, &topic);
        (commit, seen(subject, &topic))
    })
    .agree_on((
        Err((RDKafkaErrorCode::Fenced, true)),
        ["second", "first second"].map(str::to_owned),
    ));
}

#[test]
fn a_transaction_open_for_too_long_is_aborted_and_its_producer_fenced() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let settings = [("transaction.timeout.ms", "1000")];
        let producer = subject.transactional(&subject.name("p"), &settings);
        producer.begin_transaction().expect("begun");
        subject.send_all(&producer, &topic, 0, &["late"]);
        let open = ends(subject, &topic);
        let aborted = eventually("the abort", || {
            let ends = ends(subject, &topic);
            (ends[0] != 0).then_some(ends)
        });
        let commit = outcome_of(producer.commit_transaction(DEADLINE));
        (open, aborted, commit, seen(subject, &topic)[0].clone())
    })
    .agree_on((
        [0, 1],
        [2, 2],
        Err((RDKafkaErrorCode::Fenced, true)),
        String::new(),
    ));
}

#[test]
fn a_timeout_beyond_the_brokers_greatest_is_refused() {
    on_both(|subject| {
        let settings = |ms| [("transaction.timeout.ms", ms), ("transactional.id", "")];
        ["900000", "900001"].map(|ms| {
            let mut settings = settings(ms);
            let id = subject.name("p");
            settings[1].1 = &id;
            outcome_of(subject.producer(&settings).init_transactions(DEADLINE))
        })
    })
    .agree_on([
        Ok(()),
        Err((RDKafkaErrorCode::InvalidTransactionTimeout, true)),
    ]);
}

#[test]
fn a_reader_waits_at_an_open_transaction_and_gets_the_rest_when_it_ends() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.transactional(&subject.name("p"), &[]);
        producer.begin_transaction().expect("begun");
        subject.send_all(&producer, &topic, 0, &["a", "b"]);
        let reader = subject.consumer(&subject.name("g"), &[]);
        reader
            .assign(&at(&topic, 0, Offset::Beginning))
            .expect("assigned");
        let early = reader.poll(Duration::from_millis(500)).is_some();
        finish(&producer, End::Commit);
        let next = || super::subject::next(&reader).detach();
        let got = [next(), next()].map(|message| rdkafka::Message::offset(&message));
        (early, got)
    })
    .agree_on((false, [0, 1]));
}
