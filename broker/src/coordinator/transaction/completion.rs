//! Completing a decided transaction: writing its control batches, committing its offsets, and noting that this is done.
//!
//! Each step can be repeated, so that a start after a kill between any two of them can continue.

use super::{
    ById, ID_EXPIRATION_MS, State, TransactionCoordinator, TransactionError, TransactionStores,
    change::TransactionChange,
    metadata::{TransactionMetadata, TransactionState},
    record,
};
use crate::{
    Error, clock::now_ms, coordinator::offsets::TopicPartition, ids::Producer, log::AppendError,
    record::control_batch::Outcome,
};

impl TransactionCoordinator {
    /// Aborts transactions that are open for too long, retries those whose completion failed, and deletes unused
    /// transactional ids. The caller has to call this regularly.
    pub(crate) fn expire(&self, stores: TransactionStores<'_>) {
        let now = now_ms();
        let mut state = self.state.lock();
        for transaction in state.by_id.values_mut() {
            transaction.follow_clock(now);
        }
        let due = |(id, transaction): (&String, &TransactionMetadata)| {
            let is_due = transaction.is_overdue(now)
                || matches!(transaction.state, TransactionState::Prepared(_))
                || transaction.is_idle_since(now - ID_EXPIRATION_MS);
            is_due.then(|| (id.clone(), transaction.state))
        };
        let due: Vec<_> = state.by_id.iter().filter_map(due).collect();
        for (id, transaction_state) in due {
            let result = match transaction_state {
                TransactionState::Ongoing => {
                    tracing::info!(transactional_id = id, "transaction timed out");
                    fence(&mut state, stores, &id)
                }
                TransactionState::Prepared(_) => {
                    try_complete(&mut state, stores, &id);
                    Ok(())
                }
                TransactionState::Empty | TransactionState::Completed(_) => {
                    record(&mut state, &id, None).map_err(Into::into)
                }
            };
            if let Err(error) = result {
                tracing::error!(transactional_id = id, %error, "cannot expire a transaction");
            }
        }
    }
}

/// Aborts an open transaction with a higher epoch, which fences its producer.
pub(super) fn fence(
    state: &mut State,
    stores: TransactionStores<'_>,
    id: &str,
) -> Result<(), TransactionError> {
    let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
    let epoch = transaction.fenced().epoch;
    prepare(state, id, Outcome::Abort, epoch)?;
    match try_complete(state, stores, id) {
        true => Ok(()),
        false => Err(TransactionError::Concurrent),
    }
}

/// Decides the outcome.
pub(super) fn prepare(
    state: &mut State,
    id: &str,
    outcome: Outcome,
    epoch: i16,
) -> Result<(), Error> {
    let prepared = TransactionChange::Prepared {
        outcome,
        epoch,
        time: now_ms(),
    };
    record(state, id, Some(prepared))
}

/// Completes a decided transaction; returns whether that succeeded. If not, the outcome stands, and a later call retries.
pub(super) fn try_complete(state: &mut State, stores: TransactionStores<'_>, id: &str) -> bool {
    let result = complete(state, stores, id);
    if let Err(error) = &result {
        tracing::error!(transactional_id = id, %error, "cannot complete a decided transaction; it will be retried");
    }
    result.is_ok()
}

/// Completes the decided transactions, admits the open ones, and ends those that only the logs know.
pub(super) fn recover(state: &mut State, stores: TransactionStores<'_>) -> Result<(), Error> {
    let ids: Vec<String> = state.by_id.keys().cloned().collect();
    for id in &ids {
        complete(state, stores, id)?;
    }
    for transaction in state
        .by_id
        .values()
        .filter(|t| t.state == TransactionState::Ongoing)
    {
        let partitions: Vec<_> = transaction.partitions.iter().cloned().collect();
        admit(stores, transaction.producer, &partitions);
    }
    for topic in stores.topics.all() {
        for log in &topic.partitions {
            for producer in log.orphans() {
                // Only a power cut can leave them: it lost the control batch, or the end of the journal.
                let outcome = last_outcome(&state.by_id, producer);
                tracing::warn!(
                    topic = topic.name,
                    producer = producer.id.0,
                    ?outcome,
                    "ended a transaction that is not in the journal"
                );
                ignore_deleted(log.end_transaction(producer, outcome))
                    .map_err(Error::io("write a control batch to", &topic.name))?;
            }
        }
    }
    Ok(())
}

/// Makes partitions accept the batches of a transaction.
pub(super) fn admit(
    stores: TransactionStores<'_>,
    producer: Producer,
    partitions: &[TopicPartition],
) {
    for (topic, partition) in partitions {
        if let Some(log) = stores.topics.partition(topic, *partition) {
            log.begin_transaction(producer);
        }
    }
}

/// Writes a control batch to each partition, commits the offsets, and notes that this is done. Does nothing if the outcome
/// is not decided.
fn complete(state: &mut State, stores: TransactionStores<'_>, id: &str) -> Result<(), Error> {
    let Some(transaction) = state.by_id.get(id) else {
        return Ok(());
    };
    let TransactionState::Prepared(outcome) = transaction.state else {
        return Ok(());
    };
    for (topic, partition) in &transaction.partitions {
        // A deleted topic needs no control batch.
        if let Some(log) = stores.topics.partition(topic, *partition) {
            ignore_deleted(log.end_transaction(transaction.producer, outcome))
                .map_err(Error::io("write a control batch to", topic))?;
        }
    }
    if outcome == Outcome::Commit {
        for (group, commits) in &transaction.groups {
            let exists = |(topic, partition): &TopicPartition| {
                stores.topics.partition(topic, *partition).is_some()
            };
            let commits = commits.iter().map(|(p, c)| (p.clone(), c.clone()));
            stores.offsets.commit(group, commits.collect(), exists)?;
        }
    }
    record(state, id, Some(TransactionChange::Completed))
}

/// Returns how the last transaction of a producer ended; one that is unknown is aborted.
fn last_outcome(by_id: &ById, producer: Producer) -> Outcome {
    let mut known = by_id.values();
    match known.find(|t| t.producer == producer).map(|t| t.state) {
        Some(TransactionState::Completed(outcome)) => outcome,
        _ => Outcome::Abort,
    }
}

/// Ignores that the topic is deleted.
fn ignore_deleted(result: Result<(), AppendError>) -> std::io::Result<()> {
    match result {
        Ok(()) | Err(AppendError::Deleted) => Ok(()),
        Err(AppendError::Storage(error)) => Err(error),
        // The rules for batches of producers do not apply to control batches.
        Err(error) => Err(std::io::Error::other(error)),
    }
}
