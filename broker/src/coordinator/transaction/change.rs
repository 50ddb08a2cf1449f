//! The payloads of the journal `transactions`: a byte for the kind, the transactional id, and the change.
//!
//! - 0, a producer begins: its id i64 and epoch i16, those of its predecessor (-1 if none), timeout i32 (ms), time i64 (ms)
//! - 1, partitions are added: time i64, number u32, then topic and partition i32 of each
//! - 2, a group is added: time i64, group
//! - 3, offsets are added: group, number u32, then topic, partition i32, offset i64, leader epoch i32, time i64 and metadata of
//!   each
//! - 4, the outcome is decided: 0 abort or 1 commit, epoch i16, time i64
//! - 5, the transaction is complete
//! - 6, the transactional id is deleted

use crate::{
    coordinator::offsets::{CommittedOffset, TopicPartition},
    ids::{Offset, PartitionId, Producer, ProducerId},
    record::control_batch::Outcome,
    storage::journal::{FieldReader, put_entry, put_text},
};

/// A change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransactionChange {
    /// A producer gets the transactional id.
    Began {
        /// The id and epoch that the producer gets.
        producer: Producer,
        /// The value of [`TransactionMetadata::previous`](super::metadata::TransactionMetadata::previous).
        previous: Option<Producer>,
        /// How long its transactions may stay open (ms).
        timeout_ms: i32,
        /// The time of the change (ms).
        time: i64,
    },
    /// Partitions are added to the transaction.
    Partitions {
        /// The partitions; not empty.
        partitions: Vec<TopicPartition>,
        /// The time of the change (ms).
        time: i64,
    },
    /// A group is added, whose offsets the transaction will commit.
    Group {
        /// The name of the group.
        group: String,
        /// The time of the change (ms).
        time: i64,
    },
    /// Offsets of a group are added.
    Offsets {
        /// The name of the group.
        group: String,
        /// The offsets, which become visible when the transaction commits.
        commits: Vec<(TopicPartition, CommittedOffset)>,
    },
    /// The outcome of the transaction is decided.
    Prepared {
        /// The outcome.
        outcome: Outcome,
        /// The epoch of the control batches; higher than that of the producer if it is fenced.
        epoch: i16,
        /// The time of the change (ms).
        time: i64,
    },
    /// The transaction is complete.
    Completed,
}

const NONE: Producer = Producer {
    id: ProducerId(-1),
    epoch: -1,
};

/// Appends a change to the bytes of a journal; `None` deletes the transactional id.
pub(crate) fn put(out: &mut Vec<u8>, id: &str, change: Option<&TransactionChange>) {
    put_entry(out, |payload| {
        let kind = match change {
            Some(TransactionChange::Began { .. }) => 0,
            Some(TransactionChange::Partitions { .. }) => 1,
            Some(TransactionChange::Group { .. }) => 2,
            Some(TransactionChange::Offsets { .. }) => 3,
            Some(TransactionChange::Prepared { .. }) => 4,
            Some(TransactionChange::Completed) => 5,
            None => 6,
        };
        payload.push(kind);
        put_text(payload, id);
        if let Some(change) = change {
            put_fields(payload, change);
        }
    });
}

fn put_fields(payload: &mut Vec<u8>, change: &TransactionChange) {
    match change {
        TransactionChange::Began {
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
        TransactionChange::Partitions { partitions, time } => {
            payload.extend(time.to_le_bytes());
            payload.extend((partitions.len() as u32).to_le_bytes());
            for partition in partitions {
                put_partition(payload, partition);
            }
        }
        TransactionChange::Group { group, time } => {
            payload.extend(time.to_le_bytes());
            put_text(payload, group);
        }
        TransactionChange::Offsets { group, commits } => {
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
        TransactionChange::Prepared {
            outcome,
            epoch,
            time,
        } => {
            payload.push(u8::from(*outcome == Outcome::Commit));
            payload.extend(epoch.to_le_bytes());
            payload.extend(time.to_le_bytes());
        }
        TransactionChange::Completed => {}
    }
}

/// Decodes what [`put`] wrote into the transactional id and the change, or returns `None` if it is something else.
pub(crate) fn read(payload: &[u8]) -> Option<(String, Option<TransactionChange>)> {
    let mut fields = FieldReader(payload);
    let kind = fields.u8()?;
    let id = fields.text()?;
    let change = match kind {
        0 => TransactionChange::Began {
            producer: producer_of(&mut fields)?,
            previous: Some(producer_of(&mut fields)?).filter(|previous| *previous != NONE),
            timeout_ms: fields.i32()?,
            time: fields.i64()?,
        },
        1 => {
            let time = fields.i64()?;
            let count = fields.u32()?;
            let partitions = (0..count).map(|_| partition_of(&mut fields));
            TransactionChange::Partitions {
                partitions: partitions.collect::<Option<_>>()?,
                time,
            }
        }
        2 => TransactionChange::Group {
            time: fields.i64()?,
            group: fields.text()?,
        },
        3 => {
            let group = fields.text()?;
            let count = fields.u32()?;
            let commits = (0..count).map(|_| commit_of(&mut fields));
            TransactionChange::Offsets {
                group,
                commits: commits.collect::<Option<_>>()?,
            }
        }
        4 => TransactionChange::Prepared {
            outcome: match fields.u8()? {
                0 => Outcome::Abort,
                1 => Outcome::Commit,
                _ => return None,
            },
            epoch: fields.i16()?,
            time: fields.i64()?,
        },
        5 => TransactionChange::Completed,
        6 => return Some((id, None)),
        _ => return None,
    };
    Some((id, Some(change)))
}

fn producer_of(fields: &mut FieldReader<'_>) -> Option<Producer> {
    Some(Producer {
        id: ProducerId(fields.i64()?),
        epoch: fields.i16()?,
    })
}

fn commit_of(fields: &mut FieldReader<'_>) -> Option<(TopicPartition, CommittedOffset)> {
    let partition = partition_of(fields)?;
    let committed = CommittedOffset {
        offset: Offset(fields.i64()?),
        leader_epoch: fields.i32()?,
        time: fields.i64()?,
        metadata: fields.text()?,
    };
    Some((partition, committed))
}

fn partition_of(fields: &mut FieldReader<'_>) -> Option<TopicPartition> {
    Some((fields.text()?, PartitionId(fields.i32()?)))
}

fn put_partition(payload: &mut Vec<u8>, partition: &TopicPartition) {
    put_text(payload, &partition.0);
    payload.extend(partition.1.0.to_le_bytes());
}
