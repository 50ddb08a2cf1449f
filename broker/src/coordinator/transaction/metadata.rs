//! The transaction of one transactional id: the state machine, as Kafka's `TransactionCoordinator` and
//! `TransactionMetadata` have it (KIP-98, KIP-360).
//!
//! ```text
//!          partition or group added          end, or time is up            markers and offsets written
//! Empty ───────────────────────────> Ongoing ───────────────────> Prepared ────────────────────────────> Completed
//!   ^                                   ^                                                                 │   │
//!   │                                   └─────────────────── partition or group added ────────────────────┘   │
//!   └────────────────────────────────────────── the producer begins anew ─────────────────────────────────────┘
//! ```
//!
//! Questions are answered without changing anything; what is decided is a [`Change`], which is journaled first and then
//! applied, at once and again at every start.

use std::collections::{BTreeMap, BTreeSet};

use super::TransactionError;
use super::change::Change;
use crate::ids::{Producer, ProducerId};
use crate::record::control_batch::Outcome;
use crate::coordinator::offsets::{Committed, TopicPartition};

/// An epoch from here on is the last of its producer id (`TransactionMetadata.isEpochExhausted`).
const LAST_EPOCH: i16 = i16::MAX - 1;

/// What is known of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who may use it; everybody before is fenced.
    pub producer: Producer,
    /// Whom the producer succeeded when it asked for that, should the answer have been lost.
    pub previous: Option<Producer>,
    /// How long it may stay open, ms.
    pub timeout_ms: i32,
    /// Where it is.
    pub phase: Phase,
    /// When it was opened, ms.
    pub started: i64,
    /// When it last changed, ms.
    pub updated: i64,
    /// Where its records may be.
    pub partitions: BTreeSet<TopicPartition>,
    /// What it will commit for groups; a group is here once it is part of the transaction.
    pub groups: BTreeMap<String, BTreeMap<TopicPartition, Committed>>,
}

/// Where in its life a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// None was begun by this producer.
    Empty,
    /// Open.
    Ongoing,
    /// How it ends is decided, and on the disk; not every partition has its marker.
    Prepared(Outcome),
    /// It is over.
    Completed(Outcome),
}

/// What the end of a transaction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is open: prepare it.
    Prepare,
    /// It has ended in this way already.
    Done,
}

/// How a producer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// As the next incarnation of the producer.
    Anew,
    /// As it was told already.
    AsTold,
}

impl Transaction {
    /// One that nothing is known of yet.
    pub fn new(producer: Producer) -> Transaction {
        Transaction {
            producer,
            previous: None,
            timeout_ms: 0,
            phase: Phase::Empty,
            started: 0,
            updated: 0,
            partitions: BTreeSet::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Whether a producer may begin. `expected` is whom it believes to be, if it goes on after an error (KIP-360).
    pub fn may_begin(&self, expected: Option<Producer>) -> Result<Begin, TransactionError> {
        match (self.phase, expected) {
            (Phase::Prepared(_), _) => Err(TransactionError::Concurrent),
            (_, None) => Ok(Begin::Anew),
            (_, Some(expected)) if expected == self.producer => Ok(Begin::Anew),
            (Phase::Empty, expected) if expected == self.previous => Ok(Begin::AsTold),
            _ => Err(TransactionError::Fenced),
        }
    }

    /// The incarnation after this one; `take` gives a new id when the epochs of this are used up.
    pub fn successor<E>(
        &self,
        take: impl FnOnce() -> Result<ProducerId, E>,
    ) -> Result<Producer, E> {
        if self.producer.epoch >= LAST_EPOCH {
            return Ok(Producer {
                id: take()?,
                epoch: 0,
            });
        }
        Ok(self.fenced())
    }

    /// The incarnation that nobody is told, so that whoever used the transaction is fenced.
    pub fn fenced(&self) -> Producer {
        Producer {
            epoch: self.producer.epoch.saturating_add(1),
            ..self.producer
        }
    }

    /// Whether this producer may add to the transaction.
    pub fn may_add(&self, producer: Producer) -> Result<(), TransactionError> {
        self.check(producer)?;
        match self.phase {
            Phase::Prepared(_) => Err(TransactionError::Concurrent),
            Phase::Empty | Phase::Ongoing | Phase::Completed(_) => Ok(()),
        }
    }

    /// Whether this producer may commit offsets of that group with the transaction.
    pub fn may_commit(&self, producer: Producer, group: &str) -> Result<(), TransactionError> {
        self.may_add(producer)?;
        match self.phase == Phase::Ongoing && self.groups.contains_key(group) {
            true => Ok(()),
            false => Err(TransactionError::State),
        }
    }

    /// Whether this producer may end the transaction.
    pub fn may_end(&self, producer: Producer, outcome: Outcome) -> Result<End, TransactionError> {
        self.check(producer)?;
        match self.phase {
            Phase::Ongoing => Ok(End::Prepare),
            Phase::Completed(before) if before == outcome => Ok(End::Done),
            Phase::Prepared(before) if before == outcome => Err(TransactionError::Concurrent),
            Phase::Empty | Phase::Prepared(_) | Phase::Completed(_) => Err(TransactionError::State),
        }
    }

    /// Whether it has been open for longer than its producer wanted.
    pub fn is_overdue(&self, now: i64) -> bool {
        self.phase == Phase::Ongoing && self.started + i64::from(self.timeout_ms) < now
    }

    /// Whether nothing is open and nothing has happened since `deadline` (ms).
    pub fn is_idle_since(&self, deadline: i64) -> bool {
        matches!(self.phase, Phase::Empty | Phase::Completed(_)) && self.updated <= deadline
    }

    /// Whether it is this producer's.
    pub fn check(&self, producer: Producer) -> Result<(), TransactionError> {
        if producer.id != self.producer.id {
            Err(TransactionError::Mapping)
        } else if producer.epoch != self.producer.epoch {
            Err(TransactionError::Fenced)
        } else {
            Ok(())
        }
    }

    /// Does what was decided.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Began {
                producer,
                previous,
                timeout_ms,
                time,
            } => {
                *self = Transaction {
                    previous,
                    timeout_ms,
                    updated: time,
                    ..Transaction::new(producer)
                };
            }
            Change::Partitions { partitions, time } => {
                self.open(time);
                self.partitions.extend(partitions);
            }
            Change::Group { group, time } => {
                self.open(time);
                self.groups.entry(group).or_default();
            }
            Change::Offsets { group, commits } => {
                self.groups.entry(group).or_default().extend(commits);
            }
            Change::Prepared {
                outcome,
                epoch,
                time,
            } => {
                self.producer.epoch = epoch;
                self.phase = Phase::Prepared(outcome);
                self.updated = time;
            }
            Change::Completed => {
                if let Phase::Prepared(outcome) = self.phase {
                    self.phase = Phase::Completed(outcome);
                }
                self.partitions.clear();
                self.groups.clear();
            }
        }
    }

    fn open(&mut self, time: i64) {
        if self.phase != Phase::Ongoing {
            self.phase = Phase::Ongoing;
            self.started = time;
        }
        self.updated = time;
    }

    /// Changes that make it again as it is.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Began {
            producer: self.producer,
            previous: self.previous,
            timeout_ms: self.timeout_ms,
            time: self.updated,
        }];
        if matches!(self.phase, Phase::Ongoing | Phase::Prepared(_)) {
            changes.push(Change::Partitions {
                partitions: self.partitions.iter().cloned().collect(),
                time: self.started,
            });
        }
        for (group, commits) in &self.groups {
            changes.push(Change::Group {
                group: group.clone(),
                time: self.updated,
            });
            changes.push(Change::Offsets {
                group: group.clone(),
                commits: commits.clone().into_iter().collect(),
            });
        }
        if let Phase::Prepared(outcome) | Phase::Completed(outcome) = self.phase {
            changes.push(Change::Prepared {
                outcome,
                epoch: self.producer.epoch,
                time: self.updated,
            });
        }
        if let Phase::Completed(_) = self.phase {
            changes.push(Change::Completed);
        }
        changes
    }
}

