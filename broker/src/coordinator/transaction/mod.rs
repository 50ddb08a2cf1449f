//! The coordinator of transactions: who has each transactional id, and what is open under it.
//!
//! Every decision is in the journal `transactions` before it is answered. The one that counts is `Prepared`: from then
//! on the transaction will be committed, or aborted, whatever happens; what remains is to write a marker to each of
//! its partitions and to make its offsets visible, and a start after a kill does what is left of that before anybody
//! is served. A transaction that was open stays open over a restart, as Kafka's does, for its producer to go on with or
//! for its timeout to abort.
//!
//! Of the protocol (KIP-98) it is the version before KIP-890: a producer registers each partition. `Transaction` is the
//! state machine of one id, [`completion`] what follows a decision.

mod change;
mod completion;
mod metadata;
pub mod producer_ids;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::clock::now_ms;
use crate::ids::Producer;
use crate::storage::journal::{Journal, replay};
use crate::record::control_batch::Outcome;
use crate::coordinator::offsets::{Committed, CommittedOffsets, TopicPartition};
use crate::coordinator::transaction::producer_ids::ProducerIds;
use crate::topics::Topics;
use change::Change;
use metadata::{Begin, End};
pub use metadata::{Phase, Transaction};

/// The longest that a transaction may stay open, ms: Kafka's default of `transaction.max.timeout.ms`.
pub const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// How long an unused id is remembered, ms: Kafka's default of `transactional.id.expiration.ms`, seven days.
const ID_EXPIRATION_MS: i64 = 7 * 24 * 3_600_000;

/// What the coordinator answers instead.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The transaction is just being ended; the client tries again.
    #[error("the transaction is just being ended")]
    Concurrent,
    /// Another producer has taken over the transactional id, or the transaction timed out.
    #[error("another producer has the transactional id")]
    Fenced,
    /// The transactional id is not known, or belongs to another producer id.
    #[error("the transactional id is not that of the producer")]
    Mapping,
    /// Nothing is open, or the request does not fit what is.
    #[error("the transaction is in another state")]
    State,
    /// Not between 1 ms and [`MAX_TIMEOUT_MS`].
    #[error("a transaction timeout of {0} ms; the most is {MAX_TIMEOUT_MS}")]
    Timeout(i32),
    /// A transactional id of no characters.
    #[error("a transactional id needs a character")]
    Name,
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] Error),
}

/// All transactional ids.
#[derive(Debug)]
pub struct Transactions {
    /// One lock for all, held while a transaction is ended too, so that nobody meets one half ended.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by_id: ById,
    journal: Journal,
}

type ById = BTreeMap<String, Transaction>;

/// Where transactions have their effects.
#[derive(Clone, Copy, Debug)]
pub struct Stores<'a> {
    /// Markers go to their partitions.
    pub topics: &'a Topics,
    /// Offsets of groups go here.
    pub offsets: &'a CommittedOffsets,
}

impl Transactions {
    /// Reads the journal, ends what was to be ended, and goes on with what was open.
    pub fn open(folder: &Path, stores: Stores<'_>) -> Result<Transactions, Error> {
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
        Ok(Transactions { state })
    }

    /// Gives a producer the transactional id, fencing and aborting whoever had it (`InitProducerId`).
    ///
    /// `expected` is what the producer believes to be, if it goes on after an error.
    pub fn begin(
        &self,
        stores: Stores<'_>,
        ids: &ProducerIds,
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
        let mut state = self.lock();
        let mut previous = None;
        let producer = match state.by_id.get(id) {
            None => Producer {
                id: ids.take()?,
                epoch: 0,
            },
            Some(transaction) => {
                if transaction.may_begin(expected)? == Begin::AsTold {
                    return Ok(transaction.producer);
                }
                if transaction.phase == Phase::Ongoing {
                    completion::fence(&mut state, stores, id)?;
                }
                let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
                previous = expected;
                transaction.successor(|| ids.take())?
            }
        };
        let began = Change::Began {
            producer,
            previous,
            timeout_ms,
            time: now_ms(),
        };
        record(&mut state, id, Some(began))?;
        Ok(producer)
    }

    /// Takes partitions into the transaction, opening it with the first (`AddPartitionsToTxn`).
    pub fn add_partitions(
        &self,
        stores: Stores<'_>,
        id: &str,
        producer: Producer,
        mut partitions: Vec<TopicPartition>,
    ) -> Result<(), TransactionError> {
        let mut state = self.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.may_add(producer)?;
        partitions.retain(|partition| !transaction.partitions.contains(partition));
        if partitions.is_empty() {
            return Ok(());
        }
        let time = now_ms();
        let added = partitions.clone();
        record(
            &mut state,
            id,
            Some(Change::Partitions { partitions, time }),
        )?;
        completion::admit(stores, producer, &added);
        Ok(())
    }

    /// Takes a group into the transaction (`AddOffsetsToTxn`).
    pub fn add_group(
        &self,
        id: &str,
        producer: Producer,
        group: &str,
    ) -> Result<(), TransactionError> {
        let mut state = self.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.may_add(producer)?;
        if transaction.groups.contains_key(group) {
            return Ok(());
        }
        let group = group.to_owned();
        let time = now_ms();
        Ok(record(&mut state, id, Some(Change::Group { group, time }))?)
    }

    /// Keeps offsets of a group until the transaction ends (`TxnOffsetCommit`).
    pub fn commit_offsets(
        &self,
        id: &str,
        producer: Producer,
        group: &str,
        commits: Vec<(TopicPartition, Committed)>,
    ) -> Result<(), TransactionError> {
        let mut state = self.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.may_commit(producer, group)?;
        if commits.is_empty() {
            return Ok(());
        }
        let group = group.to_owned();
        Ok(record(
            &mut state,
            id,
            Some(Change::Offsets { group, commits }),
        )?)
    }

    /// Ends the transaction (`EndTxn`): once it is answered, nothing can change the outcome.
    pub fn end(
        &self,
        stores: Stores<'_>,
        id: &str,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<(), TransactionError> {
        let mut state = self.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        if transaction.may_end(producer, outcome)? == End::Prepare {
            completion::prepare(&mut state, id, outcome, producer.epoch)?;
            completion::try_finish(&mut state, stores, id);
        }
        Ok(())
    }

    /// Whether the id is still this producer's; no more than that.
    pub fn check(&self, id: &str, producer: Producer) -> Result<(), TransactionError> {
        let state = self.lock();
        let transaction = state.by_id.get(id).ok_or(TransactionError::Mapping)?;
        transaction.check(producer)
    }

    /// Whether an open transaction will commit something for that partition of the group (KIP-447).
    pub fn is_unstable(&self, group: &str, partition: &TopicPartition) -> bool {
        let state = self.lock();
        let mut groups = state.by_id.values().filter_map(|t| t.groups.get(group));
        groups.any(|commits| commits.contains_key(partition))
    }

    /// Every transactional id and its transaction.
    pub fn all(&self) -> Vec<(String, Transaction)> {
        let state = self.lock();
        let all = state.by_id.iter();
        all.map(|(id, transaction)| (id.clone(), transaction.clone()))
            .collect()
    }

    /// The transaction of an id, if that is known.
    pub fn get(&self, id: &str) -> Option<Transaction> {
        self.lock().by_id.get(id).cloned()
    }

    /// Waits until the disk has everything.
    pub fn sync(&self) -> Result<(), Error> {
        self.lock().journal.sync()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To the disk first, then to memory; `None` forgets the id.
fn record(state: &mut State, id: &str, change: Option<Change>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    change::put(&mut bytes, id, change.as_ref());
    state.journal.append(&bytes)?;
    apply(&mut state.by_id, id.to_owned(), change);
    state.journal.compact_if_due(|| snapshot(&state.by_id));
    Ok(())
}

fn apply(by_id: &mut ById, id: String, change: Option<Change>) {
    match change {
        None => {
            by_id.remove(&id);
        }
        Some(Change::Began { producer, .. }) if !by_id.contains_key(&id) => {
            let mut transaction = Transaction::new(producer);
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

/// Entries that make the same transactions again.
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
