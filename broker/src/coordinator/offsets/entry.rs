//! The payloads of the journal `offsets`, and what each does to the groups.

use super::{Committed, Groups, TopicPartition};
use crate::ids::{Offset, PartitionId};
use crate::storage::journal::{Fields, put_entry, put_text};

/// A change of what groups committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A group committed.
    Commit(String, TopicPartition, Committed),
    /// A group was deleted, or expired.
    GroupGone(String),
    /// A topic was deleted.
    TopicGone(String),
    /// Since when a group has no members, ms; `None` if it has some.
    Members(String, Option<i64>),
    /// A group's offset of one partition was deleted, or expired.
    CommitGone(String, TopicPartition),
}

const NOT_EMPTY: i64 = -1;

impl Entry {
    /// What [`put`](Entry::put) wrote; `None` if it is something else.
    pub fn read(payload: &[u8]) -> Option<Entry> {
        let mut fields = Fields(payload);
        let kind = fields.u8()?;
        let name = fields.text()?;
        Some(match kind {
            0 => {
                let partition = partition_of(&mut fields)?;
                let committed = Committed {
                    offset: Offset(fields.i64()?),
                    leader_epoch: fields.i32()?,
                    time: fields.i64()?,
                    metadata: fields.text()?,
                };
                Entry::Commit(name, partition, committed)
            }
            1 => Entry::GroupGone(name),
            2 => Entry::TopicGone(name),
            3 => Entry::Members(name, Some(fields.i64()?).filter(|time| *time != NOT_EMPTY)),
            4 => Entry::CommitGone(name, partition_of(&mut fields)?),
            _ => return None,
        })
    }

    /// Adds it to the bytes of a journal.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_entry(out, |payload| match self {
            Entry::Commit(group, partition, committed) => {
                payload.push(0);
                put_text(payload, group);
                put_partition(payload, partition);
                payload.extend(committed.offset.0.to_le_bytes());
                payload.extend(committed.leader_epoch.to_le_bytes());
                payload.extend(committed.time.to_le_bytes());
                put_text(payload, &committed.metadata);
            }
            Entry::GroupGone(group) => {
                payload.push(1);
                put_text(payload, group);
            }
            Entry::TopicGone(topic) => {
                payload.push(2);
                put_text(payload, topic);
            }
            Entry::Members(group, empty_since) => {
                payload.push(3);
                put_text(payload, group);
                payload.extend(empty_since.unwrap_or(NOT_EMPTY).to_le_bytes());
            }
            Entry::CommitGone(group, partition) => {
                payload.push(4);
                put_text(payload, group);
                put_partition(payload, partition);
            }
        });
    }

    /// Changes the groups. One that has nothing committed any more is forgotten.
    pub fn apply(self, groups: &mut Groups) {
        match self {
            Entry::Commit(group, partition, committed) => {
                let group = groups.entry(group).or_default();
                group.commits.insert(partition, committed);
            }
            Entry::GroupGone(group) => {
                groups.remove(&group);
            }
            Entry::TopicGone(topic) => groups.retain(|_, group| {
                group.commits.retain(|(name, _), _| *name != topic);
                !group.commits.is_empty()
            }),
            Entry::Members(name, empty_since) => {
                if let Some(group) = groups.get_mut(&name) {
                    group.empty_since = empty_since;
                }
            }
            Entry::CommitGone(name, partition) => {
                if let Some(group) = groups.get_mut(&name) {
                    group.commits.remove(&partition);
                    if group.commits.is_empty() {
                        groups.remove(&name);
                    }
                }
            }
        }
    }
}

fn partition_of(fields: &mut Fields<'_>) -> Option<TopicPartition> {
    Some((fields.text()?, PartitionId(fields.i32()?)))
}

fn put_partition(payload: &mut Vec<u8>, partition: &TopicPartition) {
    put_text(payload, &partition.0);
    payload.extend(partition.1.0.to_le_bytes());
}
