//! The payloads of the journal `transactions`: a kind byte, the transactional id, then what changed.
//!
//! - 0, a producer began: its id i64 and epoch i16, those of the one it succeeded (-1 if none), timeout i32 (ms), time i64 (ms)
//! - 1, partitions: time i64, number u32, and of each topic and partition i32
//! - 2, a group: time i64, group
//! - 3, offsets of a group: group, number u32, and of each topic, partition i32, offset i64, leader epoch i32, time i64, metadata
//! - 4, how it ends is decided: 0 abort or 1 commit, epoch i16, time i64
//! - 5, it has ended
//! - 6, the id is forgotten

use crate::ids::{Offset, PartitionId, Producer, ProducerId};
use crate::storage::journal::{Fields, put_entry, put_text};
use crate::record::control_batch::Outcome;
use crate::coordinator::offsets::{Committed, TopicPartition};

/// A change of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A producer has the transactional id from now on.
    Began {
        /// As it was told.
        producer: Producer,
        /// As [`Transaction::previous`](super::metadata::Transaction::previous).
        previous: Option<Producer>,
        /// How long its transactions may stay open, ms.
        timeout_ms: i32,
        /// When, ms.
        time: i64,
    },
    /// The transaction reaches into these too.
    Partitions {
        /// Not empty.
        partitions: Vec<TopicPartition>,
        /// When, ms.
        time: i64,
    },
    /// The transaction will commit offsets of this group.
    Group {
        /// Its name.
        group: String,
        /// When, ms.
        time: i64,
    },
    /// What it will commit for the group.
    Offsets {
        /// Its name.
        group: String,
        /// What counts once the transaction is committed.
        commits: Vec<(TopicPartition, Committed)>,
    },
    /// How the transaction ends.
    Prepared {
        /// How.
        outcome: Outcome,
        /// Of the markers; higher than the producer's own where that is to be fenced.
        epoch: i16,
        /// When, ms.
        time: i64,
    },
    /// It has ended.
    Completed,
}

const NONE: Producer = Producer {
    id: ProducerId(-1),
    epoch: -1,
};

/// Adds a change to the bytes of a journal; `None` is the end of the id.
pub fn put(out: &mut Vec<u8>, id: &str, change: Option<&Change>) {
    put_entry(out, |payload| {
        let kind = match change {
            Some(Change::Began { .. }) => 0,
            Some(Change::Partitions { .. }) => 1,
            Some(Change::Group { .. }) => 2,
            Some(Change::Offsets { .. }) => 3,
            Some(Change::Prepared { .. }) => 4,
            Some(Change::Completed) => 5,
            None => 6,
        };
        payload.push(kind);
        put_text(payload, id);
        if let Some(change) = change {
            put_fields(payload, change);
        }
    });
}

fn put_fields(payload: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Began {
            producer,
            previous,
            timeout_ms,
            time,
        } => {
            for producer in [*producer, previous.unwrap_or(NONE)] {
                payload.extend(producer.id.0.to_le_bytes());
                payload.extend(producer.epoch.to_le_bytes());
            }
            payload.extend(timeout_ms.to_le_bytes());
            payload.extend(time.to_le_bytes());
        }
        Change::Partitions { partitions, time } => {
            payload.extend(time.to_le_bytes());
            payload.extend((partitions.len() as u32).to_le_bytes());
            for partition in partitions {
                put_partition(payload, partition);
            }
        }
        Change::Group { group, time } => {
            payload.extend(time.to_le_bytes());
            put_text(payload, group);
        }
        Change::Offsets { group, commits } => {
            put_text(payload, group);
            payload.extend((commits.len() as u32).to_le_bytes());
            for (partition, committed) in commits {
                put_partition(payload, partition);
                payload.extend(committed.offset.0.to_le_bytes());
                payload.extend(committed.leader_epoch.to_le_bytes());
                payload.extend(committed.time.to_le_bytes());
                put_text(payload, &committed.metadata);
            }
        }
        Change::Prepared {
            outcome,
            epoch,
            time,
        } => {
            payload.push(u8::from(*outcome == Outcome::Commit));
            payload.extend(epoch.to_le_bytes());
            payload.extend(time.to_le_bytes());
        }
        Change::Completed => {}
    }
}

/// What [`put`] wrote: the transactional id, and its change or end. `None` if it is something else.
pub fn read(payload: &[u8]) -> Option<(String, Option<Change>)> {
    let mut fields = Fields(payload);
    let kind = fields.u8()?;
    let id = fields.text()?;
    let change = match kind {
        0 => Change::Began {
            producer: producer_of(&mut fields)?,
            previous: Some(producer_of(&mut fields)?).filter(|previous| *previous != NONE),
            timeout_ms: fields.i32()?,
            time: fields.i64()?,
        },
        1 => {
            let time = fields.i64()?;
            let count = fields.u32()?;
            let partitions = (0..count).map(|_| partition_of(&mut fields));
            Change::Partitions {
                partitions: partitions.collect::<Option<_>>()?,
                time,
            }
        }
        2 => Change::Group {
            time: fields.i64()?,
            group: fields.text()?,
        },
        3 => {
            let group = fields.text()?;
            let count = fields.u32()?;
            let commits = (0..count).map(|_| commit_of(&mut fields));
            Change::Offsets {
                group,
                commits: commits.collect::<Option<_>>()?,
            }
        }
        4 => Change::Prepared {
            outcome: match fields.u8()? {
                0 => Outcome::Abort,
                1 => Outcome::Commit,
                _ => return None,
            },
            epoch: fields.i16()?,
            time: fields.i64()?,
        },
        5 => Change::Completed,
        6 => return Some((id, None)),
        _ => return None,
    };
    Some((id, Some(change)))
}

fn producer_of(fields: &mut Fields<'_>) -> Option<Producer> {
    Some(Producer {
        id: ProducerId(fields.i64()?),
        epoch: fields.i16()?,
    })
}

fn commit_of(fields: &mut Fields<'_>) -> Option<(TopicPartition, Committed)> {
    let partition = partition_of(fields)?;
    let committed = Committed {
        offset: Offset(fields.i64()?),
        leader_epoch: fields.i32()?,
        time: fields.i64()?,
        metadata: fields.text()?,
    };
    Some((partition, committed))
}

fn partition_of(fields: &mut Fields<'_>) -> Option<TopicPartition> {
    Some((fields.text()?, PartitionId(fields.i32()?)))
}

fn put_partition(payload: &mut Vec<u8>, partition: &TopicPartition) {
    put_text(payload, &partition.0);
    payload.extend(partition.1.0.to_le_bytes());
}
