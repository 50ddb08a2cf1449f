//! `ListTransactions` and `DescribeTransactions` (KIP-664), which show why consumers wait for open transactions.

use std::collections::BTreeMap;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
        ListTransactionsResponse, ProducerId, TopicName, TransactionalId,
        describe_transactions_response::{TopicData, TransactionState as Described},
        list_transactions_response::TransactionState as Listed,
    },
};

use super::text;
use crate::{
    clock::now_ms,
    coordinator::transaction::{TransactionMetadata, TransactionState},
    record::control_batch::Outcome,
    shared::Shared,
};

/// Kafka's names of all states, to find filters that name an unknown state.
const STATES: [&str; 6] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
];

/// Lists the transactional ids that pass the filters by state, by producer id, and by the time that they are open.
pub(crate) fn list(shared: &Shared, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let unknown = request.state_filters.iter();
    let unknown = unknown.filter(|name| !STATES.contains(&name.as_str()));
    let (states, producers) = (&request.state_filters, &request.producer_id_filters);
    let now = now_ms();
    let wanted = |(_, transaction): &(String, TransactionMetadata)| {
        let mut filters = states.iter();
        let state =
            states.is_empty() || filters.any(|s| s.as_str() == state_name(transaction.state));
        let producer = ProducerId(transaction.producer.id.0);
        let old = match transaction.state {
            _ if request.duration_filter < 0 => true,
            TransactionState::Ongoing | TransactionState::Prepared(_) => {
                now - transaction.started > request.duration_filter
            }
            TransactionState::Empty | TransactionState::Completed(_) => false,
        };
        state && (producers.is_empty() || producers.contains(&producer)) && old
    };
    let listed = shared.transactions.all().into_iter().filter(wanted);
    let listed = listed.map(|(id, transaction)| {
        Listed::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(transaction.producer.id.0))
            .with_transaction_state(text(state_name(transaction.state)))
    });
    ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown.cloned().collect())
        .with_transaction_states(listed.collect())
}

/// Describes the requested transactional ids.
pub(crate) fn describe(
    shared: &Shared,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let transaction = shared.transactions.get(&id);
        let described = Described::default().with_transactional_id(id);
        match transaction {
            Some(transaction) => details(described, transaction),
            None => described.with_error_code(ResponseError::TransactionalIdNotFound.code()),
        }
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

fn details(described: Described, transaction: TransactionMetadata) -> Described {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in transaction.partitions {
        topics.entry(topic).or_default().push(partition.0);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(text(topic)))
            .with_partitions(partitions)
    });
    let started = match transaction.state {
        TransactionState::Ongoing | TransactionState::Prepared(_) => transaction.started,
        TransactionState::Empty | TransactionState::Completed(_) => -1,
    };
    described
        .with_transaction_state(text(state_name(transaction.state)))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(started)
        .with_producer_id(ProducerId(transaction.producer.id.0))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(topics.collect())
}

fn state_name(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Empty => "Empty",
        TransactionState::Ongoing => "Ongoing",
        TransactionState::Prepared(Outcome::Commit) => "PrepareCommit",
        TransactionState::Prepared(Outcome::Abort) => "PrepareAbort",
        TransactionState::Completed(Outcome::Commit) => "CompleteCommit",
        TransactionState::Completed(Outcome::Abort) => "CompleteAbort",
    }
}
