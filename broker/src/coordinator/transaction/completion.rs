//! What follows a decision: the markers, the offsets, and the note that all of it is done. Every step may be repeated,
//! so that it can be taken up again after a kill between any two of them.

use super::change::Change;
use super::metadata::{Phase, Transaction};
use super::{ById, ID_EXPIRATION_MS, State, Stores, TransactionError, Transactions, record};
use crate::Error;
use crate::clock::now_ms;
use crate::ids::Producer;
use crate::log::AppendError;
use crate::record::control_batch::Outcome;
use crate::coordinator::offsets::TopicPartition;

impl Transactions {
    /// Aborts what has been open for too long, takes up what the disk refused, and forgets ids that nobody uses.
    /// To be called every now and then.
    pub fn expire(&self, stores: Stores<'_>) {
        let now = now_ms();
        let mut state = self.lock();
        let due = |(id, transaction): (&String, &Transaction)| {
            let is_due = transaction.is_overdue(now)
                || matches!(transaction.phase, Phase::Prepared(_))
                || transaction.is_idle_since(now - ID_EXPIRATION_MS);
            is_due.then(|| (id.clone(), transaction.phase))
        };
        let due: Vec<_> = state.by_id.iter().filter_map(due).collect();
        for (id, phase) in due {
            let result = match phase {
                Phase::Ongoing => {
                    tracing::info!(transactional_id = id, "transaction timed out");
                    fence(&mut state, stores, &id)
                }
                Phase::Prepared(_) => {
                    try_finish(&mut state, stores, &id);
                    Ok(())
                }
                Phase::Empty | Phase::Completed(_) => {
                    record(&mut state, &id, None).map_err(Into::into)
                }
            };
            if let Err(error) = result {
                tracing::error!(transactional_id = id, %error, "cannot end a transaction");
            }
        }
    }
}

/// Aborts an open transaction under an epoch that its producer does not have.
pub(super) fn fence(
    state: &mut State,
    stores: Stores<'_>,
    id: &str,
) -> Result<(), TransactionError> {
    let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
    let epoch = transaction.fenced().epoch;
    prepare(state, id, Outcome::Abort, epoch)?;
    match try_finish(state, stores, id) {
        true => Ok(()),
        false => Err(TransactionError::Concurrent),
    }
}

/// Decides.
pub(super) fn prepare(
    state: &mut State,
    id: &str,
    outcome: Outcome,
    epoch: i16,
) -> Result<(), Error> {
    let prepared = Change::Prepared {
        outcome,
        epoch,
        time: now_ms(),
    };
    record(state, id, Some(prepared))
}

/// Does what was decided; whether the disk let it. If not, the outcome stands, and it is tried again later.
pub(super) fn try_finish(state: &mut State, stores: Stores<'_>, id: &str) -> bool {
    let result = finish(state, stores, id);
    if let Err(error) = &result {
        tracing::error!(transactional_id = id, %error, "a transaction is decided but not ended");
    }
    result.is_ok()
}

/// Ends what was decided, admits what is open, and aborts what only the logs know.
pub(super) fn recover(state: &mut State, stores: Stores<'_>) -> Result<(), Error> {
    let ids: Vec<String> = state.by_id.keys().cloned().collect();
    for id in &ids {
        finish(state, stores, id)?;
    }
    for transaction in state.by_id.values().filter(|t| t.phase == Phase::Ongoing) {
        let partitions: Vec<_> = transaction.partitions.iter().cloned().collect();
        admit(stores, transaction.producer, &partitions);
    }
    for topic in stores.topics.all() {
        for log in &topic.partitions {
            for producer in log.orphans() {
                // Only a power cut leaves them: it took the marker, or the journal's end.
                let outcome = last_outcome(&state.by_id, producer);
                tracing::warn!(
                    topic = topic.name,
                    producer = producer.id.0,
                    ?outcome,
                    "ended a transaction without a journal"
                );
                ignore_deleted(log.end_transaction(producer, outcome))
                    .map_err(Error::io("write a marker to", &topic.name))?;
            }
        }
    }
    Ok(())
}

/// Lets the producer's records into these partitions.
pub(super) fn admit(stores: Stores<'_>, producer: Producer, partitions: &[TopicPartition]) {
    for (topic, partition) in partitions {
        if let Some(log) = stores.topics.partition(topic, *partition) {
            log.begin_transaction(producer);
        }
    }
}

/// A marker to each partition, then the offsets, then the note that it is done; nothing unless it is prepared.
fn finish(state: &mut State, stores: Stores<'_>, id: &str) -> Result<(), Error> {
    let Some(transaction) = state.by_id.get(id) else {
        return Ok(());
    };
    let Phase::Prepared(outcome) = transaction.phase else {
        return Ok(());
    };
    for (topic, partition) in &transaction.partitions {
        // A topic that is gone needs no marker.
        if let Some(log) = stores.topics.partition(topic, *partition) {
            ignore_deleted(log.end_transaction(transaction.producer, outcome))
                .map_err(Error::io("write a marker to", topic))?;
        }
    }
    if outcome == Outcome::Commit {
        for (group, commits) in &transaction.groups {
            let exists = |(topic, partition): &TopicPartition| {
                stores.topics.partition(topic, *partition).is_some()
            };
            let commits = commits.iter().filter(|(partition, _)| exists(partition));
            let commits = commits.map(|(p, c)| (p.clone(), c.clone())).collect();
            stores.offsets.commit(group, commits)?;
        }
    }
    record(state, id, Some(Change::Completed))
}

/// How the last transaction of a producer ended, as far as it is known; what is not known is aborted.
fn last_outcome(by_id: &ById, producer: Producer) -> Outcome {
    let mut known = by_id.values();
    match known.find(|t| t.producer == producer).map(|t| t.phase) {
        Some(Phase::Completed(outcome)) => outcome,
        _ => Outcome::Abort,
    }
}

fn ignore_deleted(result: Result<(), AppendError>) -> std::io::Result<()> {
    match result {
        Ok(()) | Err(AppendError::Deleted) => Ok(()),
        Err(AppendError::Storage(error)) => Err(error),
        // None of a producer's rules holds for a marker.
        Err(error) => Err(std::io::Error::other(error)),
    }
}
