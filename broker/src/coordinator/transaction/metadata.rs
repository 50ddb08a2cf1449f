//! The state machine of one transactional id, as in Kafka's `TransactionCoordinator` and `TransactionMetadata` (KIP-98,
//! KIP-360).
//!
//! ```text
//!          partition or group added             end, or timeout           control batches and offsets written
//! Empty ───────────────────────────> Ongoing ───────────────────> Prepared ────────────────────────────> Completed
//!   ^                                   ^                                                                 │   │
//!   │                                   └─────────────────── partition or group added ────────────────────┘   │
//!   └────────────────────────────────────────── a new producer begins ────────────────────────────────────────┘
//! ```
//!
//! Checks change nothing. A decision is a [`TransactionChange`], which is written to the journal and then applied, and
//! applied again at every start.

use std::collections::{BTreeMap, BTreeSet};

use super::{TransactionError, change::TransactionChange};
use crate::{
    coordinator::offsets::{CommittedOffset, TopicPartition},
    ids::{Producer, ProducerId},
    record::control_batch::Outcome,
};

/// From this epoch on, a successor gets a new producer id (`TransactionMetadata.isEpochExhausted`).
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The state of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionMetadata {
    /// The current producer; all earlier ones are fenced.
    pub(crate) producer: Producer,
    /// The producer that the current one said to continue, in case the response to that was lost.
    pub(crate) previous: Option<Producer>,
    /// How long a transaction may stay open (ms).
    pub(crate) timeout_ms: i32,
    /// The state of the transaction.
    pub(crate) state: TransactionState,
    /// The time when the transaction was opened (ms).
    pub(crate) started: i64,
    /// The time of the last change (ms).
    pub(crate) updated: i64,
    /// The partitions that may have records of the transaction.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// The groups of the transaction, with the offsets that it will commit.
    pub(crate) groups: BTreeMap<String, BTreeMap<TopicPartition, CommittedOffset>>,
}

/// The state of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionState {
    /// The producer has begun no transaction.
    Empty,
    /// The transaction is open.
    Ongoing,
    /// The outcome is decided and in the journal, but not every partition has its control batch.
    Prepared(Outcome),
    /// The transaction is complete.
    Completed(Outcome),
}

/// What has to be done to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Decide the outcome, because the transaction is open.
    Prepare,
    /// Nothing: it has already ended with this outcome.
    Done,
}

/// How a producer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With a new epoch.
    New,
    /// With the id and epoch that it was already given.
    Same,
}

impl TransactionMetadata {
    /// Returns the state of a new transactional id.
    pub(crate) fn new(producer: Producer) -> TransactionMetadata {
        TransactionMetadata {
            producer,
            previous: None,
            timeout_ms: 0,
            state: TransactionState::Empty,
            started: 0,
            updated: 0,
            partitions: BTreeSet::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Checks whether a producer may begin. `expected` is the id and epoch that it already has, if it continues after an
    /// error (KIP-360).
    pub(crate) fn check_begin(
        &self,
        expected: Option<Producer>,
    ) -> Result<Begin, TransactionError> {
        match (self.state, expected) {
            (TransactionState::Prepared(_), _) => Err(TransactionError::Concurrent),
            (_, None) => Ok(Begin::New),
            (_, Some(expected)) if expected == self.producer => Ok(Begin::New),
            (TransactionState::Empty, expected) if expected == self.previous => Ok(Begin::Same),
            _ => Err(TransactionError::Fenced),
        }
    }

    /// Returns the id and epoch of the next producer; calls `assign` for a new id if the epochs of this one are used up.
    pub(crate) fn successor<E>(
        &self,
        assign: impl FnOnce() -> Result<ProducerId, E>,
    ) -> Result<Producer, E> {
        if self.producer.epoch >= LAST_EPOCH {
            return Ok(Producer {
                id: assign()?,
                epoch: 0,
            });
        }
        Ok(self.fenced())
    }

    /// Returns the producer with an epoch that no client gets, which fences the client that has the current one.
    pub(crate) fn fenced(&self) -> Producer {
        Producer {
            epoch: self.producer.epoch.saturating_add(1),
            ..self.producer
        }
    }

    /// Checks whether a producer may add to the transaction.
    pub(crate) fn check_add(&self, producer: Producer) -> Result<(), TransactionError> {
        self.check(producer)?;
        match self.state {
            TransactionState::Prepared(_) => Err(TransactionError::Concurrent),
            TransactionState::Empty
            | TransactionState::Ongoing
            | TransactionState::Completed(_) => Ok(()),
        }
    }

    /// Checks whether a producer may commit offsets of a group with the transaction.
    pub(crate) fn check_commit(
        &self,
        producer: Producer,
        group: &str,
    ) -> Result<(), TransactionError> {
        self.check_add(producer)?;
        match self.state == TransactionState::Ongoing && self.groups.contains_key(group) {
            true => Ok(()),
            false => Err(TransactionError::State),
        }
    }

    /// Checks whether a producer may end the transaction.
    pub(crate) fn check_end(
        &self,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<End, TransactionError> {
        self.check(producer)?;
        match self.state {
            TransactionState::Ongoing => Ok(End::Prepare),
            TransactionState::Completed(before) if before == outcome => Ok(End::Done),
            TransactionState::Prepared(before) if before == outcome => {
                Err(TransactionError::Concurrent)
            }
            TransactionState::Empty
            | TransactionState::Prepared(_)
            | TransactionState::Completed(_) => Err(TransactionError::State),
        }
    }

    /// Makes sure that the transaction was not opened in the future, which means that the wall clock was set back. It would
    /// hold up readers of committed records for as long as the clock was ahead.
    pub(crate) fn follow_clock(&mut self, now: i64) {
        self.started = self.started.min(now);
    }

    /// Returns whether the transaction is open for longer than its timeout.
    pub(crate) fn is_overdue(&self, now: i64) -> bool {
        self.state == TransactionState::Ongoing && self.started + i64::from(self.timeout_ms) < now
    }

    /// Returns whether no transaction is open and nothing has changed since `deadline` (ms).
    pub(crate) fn is_idle_since(&self, deadline: i64) -> bool {
        matches!(
            self.state,
            TransactionState::Empty | TransactionState::Completed(_)
        ) && self.updated <= deadline
    }

    /// Checks that a producer is the current one.
    pub(crate) fn check(&self, producer: Producer) -> Result<(), TransactionError> {
        if producer.id != self.producer.id {
            Err(TransactionError::Mapping)
        } else if producer.epoch != self.producer.epoch {
            Err(TransactionError::Fenced)
        } else {
            Ok(())
        }
    }

    /// Applies a change.
    pub(crate) fn apply(&mut self, change: TransactionChange) {
        match change {
            TransactionChange::Began {
                producer,
                previous,
                timeout_ms,
                time,
            } => {
                *self = TransactionMetadata {
                    previous,
                    timeout_ms,
                    updated: time,
                    ..TransactionMetadata::new(producer)
                };
            }
            TransactionChange::Partitions { partitions, time } => {
                self.open(time);
                self.partitions.extend(partitions);
            }
            TransactionChange::Group { group, time } => {
                self.open(time);
                self.groups.entry(group).or_default();
            }
            TransactionChange::Offsets { group, commits } => {
                self.groups.entry(group).or_default().extend(commits);
            }
            TransactionChange::Prepared {
                outcome,
                epoch,
                time,
            } => {
                self.producer.epoch = epoch;
                self.state = TransactionState::Prepared(outcome);
                self.updated = time;
            }
            TransactionChange::Completed => {
                if let TransactionState::Prepared(outcome) = self.state {
                    self.state = TransactionState::Completed(outcome);
                }
                self.partitions.clear();
                self.groups.clear();
            }
        }
    }

    fn open(&mut self, time: i64) {
        if self.state != TransactionState::Ongoing {
            self.state = TransactionState::Ongoing;
            self.started = time;
        }
        self.updated = time;
    }

    /// Returns the changes that restore the current state.
    pub(crate) fn changes(&self) -> Vec<TransactionChange> {
        let mut changes = vec![TransactionChange::Began {
            producer: self.producer,
            previous: self.previous,
            timeout_ms: self.timeout_ms,
            time: self.updated,
        }];
        if matches!(
            self.state,
            TransactionState::Ongoing | TransactionState::Prepared(_)
        ) {
            changes.push(TransactionChange::Partitions {
                partitions: self.partitions.iter().cloned().collect(),
                time: self.started,
            });
        }
        for (group, commits) in &self.groups {
            changes.push(TransactionChange::Group {
                group: group.clone(),
                time: self.updated,
            });
            changes.push(TransactionChange::Offsets {
                group: group.clone(),
                commits: commits.clone().into_iter().collect(),
            });
        }
        if let TransactionState::Prepared(outcome) | TransactionState::Completed(outcome) =
            self.state
        {
            changes.push(TransactionChange::Prepared {
                outcome,
                epoch: self.producer.epoch,
                time: self.updated,
            });
        }
        if let TransactionState::Completed(_) = self.state {
            changes.push(TransactionChange::Completed);
        }
        changes
    }
}
