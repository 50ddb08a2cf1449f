//! The transaction coordinator: which producer has each transactional id, and the transaction that it has open.
//!
//! Every change is in the journal `transactions` before its request is acknowledged. The decisive one is `Prepared`: from
//! then on the transaction will be committed or aborted, whatever happens. What remains is to write a control batch to each
//! of its partitions and to commit its offsets; after a kill, the next start does this before it serves. An open
//! transaction stays open across a restart, as with Kafka, until its producer ends it or its timeout aborts it.
//!
//! It implements the protocol of KIP-98 as before KIP-890: a producer registers each partition. [`TransactionMetadata`] is
//! the state machine of one transactional id, and [`completion`] carries out decisions.

mod change;
mod completion;
mod metadata;
pub(crate) mod producer_ids;

use std::{collections::BTreeMap, path::Path};

use parking_lot::Mutex;

use crate::{
    Error,
    clock::now_ms,
    coordinator::{
        offsets::{CommittedOffset, CommittedOffsets, TopicPartition},
        transaction::producer_ids::ProducerIdManager,
    },
    ids::Producer,
    record::control_batch::Outcome,
    storage::journal::{Journal, replay},
    topics::Topics,
};

use change::TransactionChange;
use metadata::{Begin, End};

pub(crate) use metadata::{TransactionMetadata, TransactionState};

/// How long a transaction may stay open at most (ms): Kafka's default of `transaction.max.timeout.ms`.
pub(crate) const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// How long an unused transactional id is kept (ms): Kafka's default of `transactional.id.expiration.ms`, seven days.
const ID_EXPIRATION_MS: i64 = 7 * 24 * 3_600_000;

/// The reason why the coordinator refuses a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// The transaction is being completed; the client retries.
    #[error("the transaction is being completed; try again")]
    Concurrent,
    /// A newer producer has the transactional id, or the transaction has timed out.
    #[error("a newer producer has the transactional id, or the transaction has timed out")]
    Fenced,
    /// The transactional id is unknown, or has another producer id.
    #[error("the transactional id does not have this producer id")]
    Mapping,
    /// No transaction is open, or the request does not fit its state.
    #[error("the request does not fit the state of the transaction")]
    State,
    /// Not between 1 ms and [`MAX_TIMEOUT_MS`].
    #[error("transaction timeout {0} ms is not between 1 and {MAX_TIMEOUT_MS}")]
    Timeout(i32),
    /// The transactional id is empty.
    #[error("the transactional id is empty")]
    Name,
    /// Writing failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

/// The coordinator of all transactions.
#[derive(Debug)]
pub(crate) struct TransactionCoordinator {
    /// One lock for all transactions. It is also held while one is completed, so that none is seen half complete.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by_id: ById,
    journal: Journal,
}

type ById = BTreeMap<String, TransactionMetadata>;

/// The stores that transactions change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransactionStores<'a> {
    /// The topics, whose partitions get control batches.
    pub(crate) topics: &'a Topics,
    /// The committed offsets of groups.
    pub(crate) offsets: &'a CommittedOffsets,
}

impl TransactionCoordinator {
    /// Reads the journal, completes the decided transactions, and continues with the open ones.
    pub(crate) fn open(
        folder: &Path,
        stores: TransactionStores<'_>,
    ) -> Result<TransactionCoordinator, Error> {
        let path = folder.join("transactions");
        let mut by_id = ById::new();
        replay(&path, |payload| {
            let (id, change) = change::read(payload)?;
            apply(&mut by_id, id, change);
            Some(())
        })?;
        let journal = Journal::rewrite(&path, &snapshot(&by_id))?;
        let mut state = State { by_id, journal };
        completion::recover(&mut state, stores)?;
        let state = Mutex::new(state);
        Ok(TransactionCoordinator { state })
    }

    /// Gives a transactional id to a producer (`InitProducerId`). This fences the producer that had it, and aborts its open
    /// transaction.
    ///
    /// `expected` is the id and epoch that the producer already has, if it continues after an error.
    pub(crate) fn begin(
        &self,
        stores: TransactionStores<'_>,
        ids: &ProducerIdManager,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Producer, TransactionError> {
        if id.is_empty() {
            return Err(TransactionError::Name);
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(TransactionError::Timeout(timeout_ms));
        }
        let mut state = self.state.lock();
        let mut previous = None;
        let producer = match state.by_id.get(id) {
            None => Producer {
                id: ids.assign()?,
                epoch: 0,
            },
            Some(transaction) => {
                if transaction.check_begin(expected)? == Begin::Same {
                    return Ok(transaction.producer);
                }
                if transaction.state == TransactionState::Ongoing {
                    completion::fence(&mut state, stores, id)?;
                }
                let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
                previous = expected;
                transaction.successor(|| ids.assign())?
            }
        };
        let began = TransactionChange::Began {
            producer,
            previous,
            timeout_ms,
            time: now_ms(),
        };
        record(&mut state, id, Some(began))?;
        Ok(producer)
    }

    /// Adds partitions to the transaction, and opens it if it is not open (`AddPartitionsToTxn`).
    pub(crate) fn add_partitions(
        &self,
        stores: TransactionStores<'_>,
        id: &str,
        producer: Producer,
        mut partitions: Vec<TopicPartition>,
    ) -> Result<(), TransactionError> {
        let mut state = self.state.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.check_add(producer)?;
        partitions.retain(|partition| !transaction.partitions.contains(partition));
        if partitions.is_empty() {
            return Ok(());
        }
        let time = now_ms();
        let added = partitions.clone();
        record(
            &mut state,
            id,
            Some(TransactionChange::Partitions { partitions, time }),
        )?;
        completion::admit(stores, producer, &added);
        Ok(())
    }

    /// Adds a group to the transaction (`AddOffsetsToTxn`).
    pub(crate) fn add_group(
        &self,
        id: &str,
        producer: Producer,
        group: &str,
    ) -> Result<(), TransactionError> {
        let mut state = self.state.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.check_add(producer)?;
        if transaction.groups.contains_key(group) {
            return Ok(());
        }
        let group = group.to_owned();
        let time = now_ms();
        Ok(record(
            &mut state,
            id,
            Some(TransactionChange::Group { group, time }),
        )?)
    }

    /// Stores offsets of a group until the transaction ends (`TxnOffsetCommit`).
    pub(crate) fn commit_offsets(
        &self,
        id: &str,
        producer: Producer,
        group: &str,
        commits: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<(), TransactionError> {
        let mut state = self.state.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.check_commit(producer, group)?;
        if commits.is_empty() {
            return Ok(());
        }
        let group = group.to_owned();
        Ok(record(
            &mut state,
            id,
            Some(TransactionChange::Offsets { group, commits }),
        )?)
    }

    /// Ends the transaction (`EndTxn`). After this, nothing can change the outcome.
    pub(crate) fn end(
        &self,
        stores: TransactionStores<'_>,
        id: &str,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<(), TransactionError> {
        let mut state = self.state.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        if transaction.check_end(producer, outcome)? == End::Prepare {
            completion::prepare(&mut state, id, outcome, producer.epoch)?;
            completion::try_complete(&mut state, stores, id);
        }
        Ok(())
    }

    /// Checks that a producer still has a transactional id.
    pub(crate) fn check(&self, id: &str, producer: Producer) -> Result<(), TransactionError> {
        let state = self.state.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.check(producer)
    }

    /// Returns whether an open transaction will commit an offset of the group for a partition (KIP-447).
    pub(crate) fn is_unstable(&self, group: &str, partition: &TopicPartition) -> bool {
        let state = self.state.lock();
        let mut groups = state.by_id.values().filter_map(|t| t.groups.get(group));
        groups.any(|commits| commits.contains_key(partition))
    }

    /// Returns all transactional ids and their transactions.
    pub(crate) fn all(&self) -> Vec<(String, TransactionMetadata)> {
        let state = self.state.lock();
        let all = state.by_id.iter();
        all.map(|(id, transaction)| (id.clone(), transaction.clone()))
            .collect()
    }

    /// Returns the transaction of a transactional id.
    pub(crate) fn get(&self, id: &str) -> Option<TransactionMetadata> {
        self.state.lock().by_id.get(id).cloned()
    }

    /// Syncs the journal.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.state.lock().journal.sync()
    }
}

/// Writes a change to the journal, then applies it; `None` deletes the transactional id.
fn record(state: &mut State, id: &str, change: Option<TransactionChange>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    change::put(&mut bytes, id, change.as_ref());
    state.journal.append(&bytes)?;
    apply(&mut state.by_id, id.to_owned(), change);
    state.journal.compact_if_due(|| snapshot(&state.by_id));
    Ok(())
}

fn apply(by_id: &mut ById, id: String, change: Option<TransactionChange>) {
    match change {
        None => {
            by_id.remove(&id);
        }
        Some(TransactionChange::Began { producer, .. }) if !by_id.contains_key(&id) => {
            let mut transaction = TransactionMetadata::new(producer);
            change
                .into_iter()
                .for_each(|change| transaction.apply(change));
            by_id.insert(id, transaction);
        }
        Some(change) => {
            if let Some(transaction) = by_id.get_mut(&id) {
                transaction.apply(change);
            }
        }
    }
}

/// Returns the entries that restore the transactions.
fn snapshot(by_id: &ById) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, transaction) in by_id {
        for change in transaction.changes() {
            change::put(&mut bytes, id, Some(&change));
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
