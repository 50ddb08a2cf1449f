//! The requests of transactions, in the right and in wrong orders.

use eventos_testkit::{
    eventually,
    raw::{text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{DescribeTransactionsRequest, ListTransactionsRequest, TransactionalId},
};

use super::{batch::Batch, on_both, transactions::await_markers, transactor::Transactor};

#[test]
fn offsets_of_an_open_transaction_are_unstable_for_who_asks() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let mut one = Transactor::new(subject, &subject.name("p"));
        let verdicts = (
            one.add_offsets(&group),
            one.commit_offset(&group, &topic, 5),
        );
        let open = [true, false].map(|stable| one.fetch_offset(&group, &topic, stable));
        let ended = one.end(true);
        let found = eventually("the marker", || {
            let found = one.fetch_offset(&group, &topic, true);
            (found.0 != Some(ResponseError::UnstableOffsetCommit)).then_some(found)
        });
        (verdicts, open, (ended, found))
    })
    .agree_on((
        (None, None),
        [(Some(ResponseError::UnstableOffsetCommit), -1), (None, -1)],
        (None, (None, 5)),
    ));
}

#[test]
fn the_calls_of_a_transaction_come_in_their_order() {
    on_both(|subject| {
        let topic = subject.topic(2);
        let mut one = Transactor::new(subject, &subject.name("p"));
        [
            one.end(true),
            one.produce(&topic, 0),
            one.add(&topic, 9),
            one.add(&topic, 0),
            one.produce(&topic, 0),
            one.end(false),
            one.end(false),
            one.end(true),
            one.produce(&topic, 1),
        ]
    })
    .agree_on([
        Some(ResponseError::InvalidTxnState),
        Some(ResponseError::InvalidTxnState),
        Some(ResponseError::UnknownTopicOrPartition),
        None,
        None,
        None,
        None,
        Some(ResponseError::InvalidTxnState),
        Some(ResponseError::InvalidTxnState),
    ]);
}

#[test]
fn calls_of_a_fenced_or_unknown_producer_are_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let id = subject.name("p");
        let mut old = Transactor::new(subject, &id);
        let new = Transactor::new(subject, &id);
        let fenced = [old.add(&topic, 0), old.end(true), old.add_offsets("g")];
        let mut other = Transactor::new(subject, &subject.name("p"));
        other.producer = new.producer;
        let mapped = [other.add(&topic, 0), other.end(true)];
        other.id = subject.name("unknown");
        let unknown = [other.add(&topic, 0), other.end(true)];
        (fenced, new.producer.1, mapped, unknown)
    })
    .agree_on((
        [Some(ResponseError::ProducerFenced); 3],
        1,
        [Some(ResponseError::InvalidProducerIdMapping); 2],
        [Some(ResponseError::InvalidProducerIdMapping); 2],
    ));
}

#[test]
fn a_producer_takes_its_id_up_again_with_the_epoch_that_it_has() {
    on_both(|subject| {
        let mut one = Transactor::new(subject, &subject.name("p"));
        let first = one.producer;
        let mut again = |epoch| {
            let (error, producer) = one.again((first.0, epoch));
            let same = producer.0 == first.0;
            (error, same, producer.1)
        };
        [again(0), again(1), again(0), again(9)]
    })
    .agree_on([
        (None, true, 1),
        (None, true, 2),
        (Some(ResponseError::ProducerFenced), false, -1),
        (Some(ResponseError::ProducerFenced), false, -1),
    ]);
}

#[test]
fn transactions_are_described_and_listed_by_their_state() {
    on_both(|subject| {
        let (topic, id) = (subject.topic(1), subject.name("p"));
        let mut one = Transactor::new(subject, &id);
        let mut raw = subject.raw();
        let mut state = |id: &str| {
            let request = DescribeTransactionsRequest::default()
                .with_transactional_ids(vec![text::<TransactionalId>(id)]);
            let results = raw.call(0, &request).transaction_states.remove(0);
            let topics = results.topics.iter().map(|t| t.partitions.clone());
            let partitions = topics.collect::<Vec<_>>();
            let state = results.transaction_state.to_string();
            let listed = raw.call(1, &ListTransactionsRequest::default());
            let mut all = listed.transaction_states.iter();
            let found = all.find(|t| t.transactional_id.as_str() == id);
            let found = found.map(|t| t.transaction_state.to_string());
            (verdict(results.error_code), state, partitions, found)
        };
        let empty = state(&id);
        one.add(&topic, 0);
        let ongoing = state(&id);
        one.end(true);
        let complete = eventually("its end", || {
            let now = state(&id);
            (now.1 != "PrepareCommit").then_some(now)
        });
        [empty, ongoing, complete, state(&subject.name("none"))]
    })
    .agree_on({
        let state = |state: &str, partitions| {
            let listed = Some(state.to_owned());
            (None, state.to_owned(), partitions, listed)
        };
        let unknown = Some(ResponseError::TransactionalIdNotFound);
        [
            state("Empty", vec![]),
            state("Ongoing", vec![vec![0]]),
            state("CompleteCommit", vec![]),
            (unknown, String::new(), vec![], None),
        ]
    });
}

#[test]
fn a_duplicate_within_a_transaction_is_answered_as_before() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut one = Transactor::new(subject, &subject.name("p"));
        one.add(&topic, 0);
        let batch = Batch::of(2).from(one.producer.0, one.producer.1, 0);
        let batch = batch.transactional().bytes();
        let id = one.id.clone();
        let results = [(); 2].map(|()| {
            let produced = one
                .raw
                .produce_with(-1, Some(&id), &topic, 0, batch.clone());
            (verdict(produced.error_code), produced.base_offset)
        });
        one.end(true);
        await_markers(subject, &topic);
        (results, subject.watermarks(&topic, 0))
    })
    .agree_on(([(None, 0), (None, 0)], (0, 3)));
}
