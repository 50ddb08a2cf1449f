//! `ListTransactions`, `DescribeTransactions` (KIP-664): what is open, for whoever wonders why readers wait.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{
    TopicData, TransactionState as Described,
};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TopicName, TransactionalId,
};

use super::text;
use crate::Shared;
use crate::clock::now_ms;
use crate::record::control_batch::Outcome;
use crate::coordinator::transaction::{Phase, Transaction};

/// Kafka's names of all states, for filters that name none of them.
const STATES: [&str; 6] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
];

/// Every transactional id that passes the filters: states, producer ids, and how long it is open at least.
pub fn list(shared: &Shared, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let unknown = request.state_filters.iter();
    let unknown = unknown.filter(|name| !STATES.contains(&name.as_str()));
    let (states, producers) = (&request.state_filters, &request.producer_id_filters);
    let now = now_ms();
    let wanted = |(_, transaction): &(String, Transaction)| {
        let mut filters = states.iter();
        let state = states.is_empty() || filters.any(|s| s.as_str() == name(transaction.phase));
        let producer = ProducerId(transaction.producer.id.0);
        let old = match transaction.phase {
            _ if request.duration_filter < 0 => true,
            Phase::Ongoing | Phase::Prepared(_) => {
                now - transaction.started > request.duration_filter
            }
            Phase::Empty | Phase::Completed(_) => false,
        };
        state && (producers.is_empty() || producers.contains(&producer)) && old
    };
    let listed = shared.transactions.all().into_iter().filter(wanted);
    let listed = listed.map(|(id, transaction)| {
        Listed::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(transaction.producer.id.0))
            .with_transaction_state(text(name(transaction.phase)))
    });
    ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown.cloned().collect())
        .with_transaction_states(listed.collect())
}

/// Everything about some of them.
pub fn describe(
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

fn details(described: Described, transaction: Transaction) -> Described {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in transaction.partitions {
        topics.entry(topic).or_default().push(partition.0);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(text(topic)))
            .with_partitions(partitions)
    });
    let started = match transaction.phase {
        Phase::Ongoing | Phase::Prepared(_) => transaction.started,
        Phase::Empty | Phase::Completed(_) => -1,
    };
    described
        .with_transaction_state(text(name(transaction.phase)))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(started)
        .with_producer_id(ProducerId(transaction.producer.id.0))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(topics.collect())
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "Empty",
        Phase::Ongoing => "Ongoing",
        Phase::Prepared(Outcome::Commit) => "PrepareCommit",
        Phase::Prepared(Outcome::Abort) => "PrepareAbort",
        Phase::Completed(Outcome::Commit) => "CompleteCommit",
        Phase::Completed(Outcome::Abort) => "CompleteAbort",
    }
}
