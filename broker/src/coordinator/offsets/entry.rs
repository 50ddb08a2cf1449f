//! The payloads of the journal `offsets`, and the change that each makes.

use super::{CommittedOffset, Groups, TopicPartition};
use crate::{
    ids::{Offset, PartitionId},
    storage::journal::{FieldReader, put_entry, put_text},
};

/// A change of the committed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OffsetsEntry {
    /// A group commits an offset.
    Commit(String, TopicPartition, CommittedOffset),
    /// A group is deleted.
    GroupDeleted(String),
    /// A topic is deleted.
    TopicDeleted(String),
    /// A group has no members since this time (ms), or has members for `None`.
    Members(String, Option<i64>),
    /// The offset of a group for one partition is deleted, or has expired.
    OffsetDeleted(String, TopicPartition),
}

/// The time of a group that has members.
const HAS_MEMBERS: i64 = -1;

impl OffsetsEntry {
    /// Decodes what [`put`](OffsetsEntry::put) wrote, or returns `None` if it is something else.
    pub(crate) fn read(payload: &[u8]) -> Option<OffsetsEntry> {
        let mut fields = FieldReader(payload);
        let kind = fields.u8()?;
        let name = fields.text()?;
        Some(match kind {
            0 => {
                let partition = partition_of(&mut fields)?;
                let committed = CommittedOffset {
                    offset: Offset(fields.i64()?),
                    leader_epoch: fields.i32()?,
                    time: fields.i64()?,
                    metadata: fields.text()?,
                };
                OffsetsEntry::Commit(name, partition, committed)
            }
            1 => OffsetsEntry::GroupDeleted(name),
            2 => OffsetsEntry::TopicDeleted(name),
            3 => OffsetsEntry::Members(
                name,
                Some(fields.i64()?).filter(|time| *time != HAS_MEMBERS),
            ),
            4 => OffsetsEntry::OffsetDeleted(name, partition_of(&mut fields)?),
            _ => return None,
        })
    }

    /// Appends the entry to the bytes of a journal.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_entry(out, |payload| match self {
            OffsetsEntry::Commit(group, partition, committed) => {
                payload.push(0);
                put_text(payload, group);
                put_partition(payload, partition);
                payload.extend(committed.offset.0.to_le_bytes());
                payload.extend(committed.leader_epoch.to_le_bytes());
                payload.extend(committed.time.to_le_bytes());
                put_text(payload, &committed.metadata);
            }
            OffsetsEntry::GroupDeleted(group) => {
                payload.push(1);
                put_text(payload, group);
            }
            OffsetsEntry::TopicDeleted(topic) => {
                payload.push(2);
                put_text(payload, topic);
            }
            OffsetsEntry::Members(group, empty_since) => {
                payload.push(3);
                put_text(payload, group);
                payload.extend(empty_since.unwrap_or(HAS_MEMBERS).to_le_bytes());
            }
            OffsetsEntry::OffsetDeleted(group, partition) => {
                payload.push(4);
                put_text(payload, group);
                put_partition(payload, partition);
            }
        });
    }

    /// Applies the change. A group without committed offsets is removed.
    pub(crate) fn apply(self, groups: &mut Groups) {
        match self {
            OffsetsEntry::Commit(group, partition, committed) => {
                let group = groups.entry(group).or_default();
                group.commits.insert(partition, committed);
            }
            OffsetsEntry::GroupDeleted(group) => {
                groups.remove(&group);
            }
            OffsetsEntry::TopicDeleted(topic) => groups.retain(|_, group| {
                group.commits.retain(|(name, _), _| *name != topic);
                !group.commits.is_empty()
            }),
            OffsetsEntry::Members(name, empty_since) => {
                if let Some(group) = groups.get_mut(&name) {
                    group.empty_since = empty_since;
                }
            }
            OffsetsEntry::OffsetDeleted(name, partition) => {
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

fn partition_of(fields: &mut FieldReader<'_>) -> Option<TopicPartition> {
    Some((fields.text()?, PartitionId(fields.i32()?)))
}

fn put_partition(payload: &mut Vec<u8>, partition: &TopicPartition) {
    put_text(payload, &partition.0);
    payload.extend(partition.1.0.to_le_bytes());
}
