//! The committed offsets of consumer groups, in memory and in the journal `offsets`.
//!
//! The payloads of the journal begin with a byte for the kind:
//!
//! - 0, a commit: group, topic, partition i32, offset i64, leader epoch i32, time i64 (ms), metadata
//! - 1, a group is deleted: group
//! - 2, a topic is deleted: topic
//! - 3, the last member of a group leaves, or the first one joins: group, time i64 (ms), which is -1 if it has members
//! - 4, the offset of one partition is deleted: group, topic, partition i32
//!
//! An entry is written before its request is acknowledged, so a kill loses none.

mod entry;
mod expiry;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use parking_lot::Mutex;

use crate::{
    Error,
    ids::{Offset, PartitionId},
    storage::journal::{Journal, replay},
};

use entry::OffsetsEntry;

/// The committed offset of a group for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    /// The next offset to read.
    pub(crate) offset: Offset,
    /// The leader epoch that the consumer sent; -1 if unknown.
    pub(crate) leader_epoch: i32,
    /// The text that the consumer sent.
    pub(crate) metadata: String,
    /// The time of the commit, in ms since 1970.
    pub(crate) time: i64,
}

/// Topic and partition, as a key.
pub(crate) type TopicPartition = (String, PartitionId);

/// The committed offsets of every group.
#[derive(Debug)]
pub(crate) struct CommittedOffsets {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    groups: Groups,
    journal: Journal,
}

type Groups = BTreeMap<String, Group>;

/// The committed offsets of a group.
#[derive(Debug, Default)]
struct Group {
    commits: BTreeMap<TopicPartition, CommittedOffset>,
    /// The time (ms) since when the group has no members; `None` if it has members or was never checked.
    empty_since: Option<i64>,
}

impl CommittedOffsets {
    /// Reads the journal without a torn end, and rewrites it.
    pub(crate) fn open(folder: &Path) -> Result<CommittedOffsets, Error> {
        let path = folder.join("offsets");
        let mut groups = Groups::new();
        replay(&path, |payload| {
            OffsetsEntry::read(payload)?.apply(&mut groups);
            Some(())
        })?;
        let journal = Journal::rewrite(&path, &snapshot(&groups))?;
        let state = Mutex::new(State { groups, journal });
        Ok(CommittedOffsets { state })
    }

    /// Stores offsets of a group for those partitions that exist; after an error, none of them is stored. A topic that is
    /// deleted at the same time leaves none: it ceases to exist first, and then [`remove_topic`](Self::remove_topic) is
    /// called.
    pub(crate) fn commit(
        &self,
        group: &str,
        commits: Vec<(TopicPartition, CommittedOffset)>,
        exists: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), Error> {
        let commit =
            |(partition, committed)| OffsetsEntry::Commit(group.to_owned(), partition, committed);
        let mut state = self.state.lock();
        let commits = commits.into_iter();
        let commits = commits.filter(|(partition, _)| exists(partition));
        self.write(&mut state, commits.map(commit).collect())
    }

    /// Returns the committed offset of a group for a partition.
    pub(crate) fn get(&self, group: &str, partition: &TopicPartition) -> Option<CommittedOffset> {
        let state = self.state.lock();
        state.groups.get(group)?.commits.get(partition).cloned()
    }

    /// Returns all committed offsets of a group.
    pub(crate) fn all(&self, group: &str) -> BTreeMap<TopicPartition, CommittedOffset> {
        let state = self.state.lock();
        let group = state.groups.get(group);
        group.map(|group| group.commits.clone()).unwrap_or_default()
    }

    /// Returns all groups with committed offsets.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.state.lock().groups.keys().cloned().collect()
    }

    /// Returns whether a group has committed offsets.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.state.lock().groups.contains_key(group)
    }

    /// Deletes the committed offsets of a group; returns whether there were any.
    pub(crate) fn remove_group(&self, group: &str) -> Result<bool, Error> {
        let mut state = self.state.lock();
        if !state.groups.contains_key(group) {
            return Ok(false);
        }
        self.write(
            &mut state,
            vec![OffsetsEntry::GroupDeleted(group.to_owned())],
        )?;
        Ok(true)
    }

    /// Deletes the committed offsets of all groups for a topic.
    pub(crate) fn remove_topic(&self, topic: &str) -> Result<(), Error> {
        let entry = OffsetsEntry::TopicDeleted(topic.to_owned());
        self.write(&mut self.state.lock(), vec![entry])
    }

    /// Deletes the committed offsets for topics that do not exist: the broker was killed after it had deleted the topic, or
    /// could not write here. A topic that is created again would begin where the former one ended.
    pub(crate) fn remove_missing_topics(&self, exists: impl Fn(&str) -> bool) -> Result<(), Error> {
        let mut state = self.state.lock();
        let groups = state.groups.values();
        let partitions = groups.flat_map(|group| group.commits.keys());
        let topics: BTreeSet<_> = partitions.map(|(topic, _)| topic).collect();
        let missing = topics.into_iter().filter(|topic| !exists(topic));
        let entries = missing.cloned().map(OffsetsEntry::TopicDeleted).collect();
        self.write(&mut state, entries)
    }

    /// Deletes the committed offsets of a group for some partitions.
    pub(crate) fn remove(&self, group: &str, partitions: Vec<TopicPartition>) -> Result<(), Error> {
        let entry = |partition| OffsetsEntry::OffsetDeleted(group.to_owned(), partition);
        self.write(
            &mut self.state.lock(),
            partitions.into_iter().map(entry).collect(),
        )
    }

    /// Syncs the journal.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.state.lock().journal.sync()
    }

    /// Writes entries to the journal, then applies them.
    fn write(&self, state: &mut State, entries: Vec<OffsetsEntry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.put(&mut bytes));
        state.journal.append(&bytes)?;
        for entry in entries {
            entry.apply(&mut state.groups);
        }
        state.journal.compact_if_due(|| snapshot(&state.groups));
        Ok(())
    }
}

/// Returns the entries that restore the groups.
fn snapshot(groups: &Groups) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, group) in groups {
        for (partition, committed) in &group.commits {
            OffsetsEntry::Commit(name.clone(), partition.clone(), committed.clone())
                .put(&mut bytes);
        }
        if group.empty_since.is_some() {
            OffsetsEntry::Members(name.clone(), group.empty_since).put(&mut bytes);
        }
    }
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn key(topic: &str, partition: i32) -> TopicPartition {
        (topic.to_owned(), PartitionId(partition))
    }

    pub(crate) fn at(offset: i64) -> CommittedOffset {
        CommittedOffset {
            offset: Offset(offset),
            leader_epoch: -1,
            metadata: "née".to_owned(),
            time: 7,
        }
    }

    fn offset_of(offsets: &CommittedOffsets, group: &str, topic: &str) -> Option<i64> {
        Some(offsets.get(group, &key(topic, 0))?.offset.0)
    }

    #[test]
    fn the_newest_commit_survives_and_deletions_too() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        for i in 0..10 {
            offsets
                .commit(
                    "g",
                    vec![(key("t", 0), at(i)), (key("gone", 0), at(i))],
                    |_| true,
                )
                .unwrap();
            offsets
                .commit("gone", vec![(key("t", 0), at(i))], |_| true)
                .unwrap();
        }
        assert!(offsets.remove_group("gone").unwrap());
        assert!(!offsets.remove_group("never").unwrap());
        offsets.remove_topic("gone").unwrap();
        let commits = vec![(key("t", 1), at(1)), (key("t", 2), at(2))];
        offsets.commit("g", commits, |_| true).unwrap();
        offsets.remove("g", vec![key("t", 1)]).unwrap();
        for _ in 0..2 {
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            assert_eq!(offsets.get("g", &key("t", 0)), Some(at(9)));
            assert_eq!(offsets.get("g", &key("t", 1)), None);
            assert_eq!(offsets.get("g", &key("t", 2)), Some(at(2)));
            assert_eq!(offset_of(&offsets, "g", "gone"), None);
            assert_eq!(offsets.groups(), ["g"]);
        }
    }

    #[test]
    fn a_topic_that_does_not_exist_has_no_offsets() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        let both = || vec![(key("t", 0), at(1)), (key("gone", 0), at(1))];
        let exists = |(topic, _): &TopicPartition| topic != "gone";
        offsets.commit("g", both(), exists).unwrap();
        offsets.commit("other", both(), |_| true).unwrap();
        let of_gone = |offsets: &CommittedOffsets| {
            ["g", "other"].map(|group| offset_of(offsets, group, "gone"))
        };
        assert_eq!(of_gone(&offsets), [None, Some(1)]);
        drop(offsets);
        // The broker was killed between the deletion of the topic and that of its offsets.
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        offsets.remove_missing_topics(|topic| topic == "t").unwrap();
        drop(offsets);
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        assert_eq!(of_gone(&offsets), [None, None]);
        assert_eq!(offset_of(&offsets, "other", "t"), Some(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_torn_tail_costs_only_torn_commits(cut in any::<prop::sample::Index>(), flip in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            for i in 0..10 {
                offsets.commit("g", vec![(key("t", 0), at(i))], |_| true).unwrap();
            }
            drop(offsets);
            let path = dir.path().join("offsets");
            let mut bytes = std::fs::read(&path).unwrap();
            let each = bytes.len() / 10;
            let cut = cut.index(bytes.len());
            if flip { bytes[cut] ^= 4 } else { bytes.truncate(cut) }
            std::fs::write(&path, bytes).unwrap();
            let kept = (cut / each) as i64;
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            prop_assert_eq!(offset_of(&offsets, "g", "t"), (kept > 0).then_some(kept - 1));
            // The journal can be appended to again.
            offsets.commit("g", vec![(key("t", 0), at(50))], |_| true).unwrap();
            drop(offsets);
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            prop_assert_eq!(offset_of(&offsets, "g", "t"), Some(50));
        }
    }
}
