//! What consumer groups committed, in memory and in the journal `offsets`, whose payloads are a kind byte, then:
//!
//! - 0, a commit: group, topic, partition i32, offset i64, leader epoch i32, time i64 (ms), metadata
//! - 1, a group's end: group
//! - 2, a topic's end: topic
//! - 3, a group's last member went, or its first one came: group, time i64 (ms), which is -1 while it has members
//! - 4, the end of what was committed for one partition: group, topic, partition i32
//!
//! An entry is written before its request is answered, so a kill loses none.

mod entry;
mod expiry;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::ids::{Offset, PartitionId};
use crate::storage::journal::{Journal, replay};
use entry::Entry;

/// What a group committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: Offset,
    /// As the consumer sent it; -1 unknown.
    pub leader_epoch: i32,
    /// Free text of the consumer.
    pub metadata: String,
    /// When, in ms since 1970.
    pub time: i64,
}

/// A partition of a topic, as a key.
pub type TopicPartition = (String, PartitionId);

/// The committed offsets of every group.
#[derive(Debug)]
pub struct CommittedOffsets {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    groups: Groups,
    journal: Journal,
}

type Groups = BTreeMap<String, Group>;

/// What is known of a group here.
#[derive(Debug, Default)]
struct Group {
    commits: BTreeMap<TopicPartition, Committed>,
    /// Since when it has no members, ms; `None` while it has some, or where nobody has looked yet.
    empty_since: Option<i64>,
}

impl CommittedOffsets {
    /// Reads the file, cuts a torn tail, and compacts.
    pub fn open(folder: &Path) -> Result<CommittedOffsets, Error> {
        let path = folder.join("offsets");
        let mut groups = Groups::new();
        replay(&path, |payload| {
            Entry::read(payload)?.apply(&mut groups);
            Some(())
        })?;
        let journal = Journal::rewrite(&path, &snapshot(&groups))?;
        let state = Mutex::new(State { groups, journal });
        Ok(CommittedOffsets { state })
    }

    /// Stores commits of one group before it returns; after an error none of them counts.
    pub fn commit(
        &self,
        group: &str,
        commits: Vec<(TopicPartition, Committed)>,
    ) -> Result<(), Error> {
        let commit = |(partition, committed)| Entry::Commit(group.to_owned(), partition, committed);
        self.write(&mut self.lock(), commits.into_iter().map(commit).collect())
    }

    /// What the group committed for a partition.
    pub fn get(&self, group: &str, partition: &TopicPartition) -> Option<Committed> {
        let state = self.lock();
        state.groups.get(group)?.commits.get(partition).cloned()
    }

    /// Everything that the group committed.
    pub fn all(&self, group: &str) -> BTreeMap<TopicPartition, Committed> {
        let state = self.lock();
        let group = state.groups.get(group);
        group.map(|group| group.commits.clone()).unwrap_or_default()
    }

    /// Every group that committed something.
    pub fn groups(&self) -> Vec<String> {
        self.lock().groups.keys().cloned().collect()
    }

    /// Whether the group committed something.
    pub fn has_group(&self, group: &str) -> bool {
        self.lock().groups.contains_key(group)
    }

    /// Forgets a group; whether there was one.
    pub fn remove_group(&self, group: &str) -> Result<bool, Error> {
        let mut state = self.lock();
        if !state.groups.contains_key(group) {
            return Ok(false);
        }
        self.write(&mut state, vec![Entry::GroupGone(group.to_owned())])?;
        Ok(true)
    }

    /// Forgets what all groups committed for a topic that is deleted.
    pub fn remove_topic(&self, topic: &str) -> Result<(), Error> {
        let gone = Entry::TopicGone(topic.to_owned());
        self.write(&mut self.lock(), vec![gone])
    }

    /// Forgets what a group committed for these partitions.
    pub fn remove(&self, group: &str, partitions: Vec<TopicPartition>) -> Result<(), Error> {
        let gone = |partition| Entry::CommitGone(group.to_owned(), partition);
        self.write(&mut self.lock(), partitions.into_iter().map(gone).collect())
    }

    /// Waits until the disk has everything.
    pub fn sync(&self) -> Result<(), Error> {
        self.lock().journal.sync()
    }

    /// To the disk first, then to memory.
    fn write(&self, state: &mut State, entries: Vec<Entry>) -> Result<(), Error> {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries that make the same groups again.
fn snapshot(groups: &Groups) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, group) in groups {
        for (partition, committed) in &group.commits {
            Entry::Commit(name.clone(), partition.clone(), committed.clone()).put(&mut bytes);
        }
        if group.empty_since.is_some() {
            Entry::Members(name.clone(), group.empty_since).put(&mut bytes);
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

    pub(crate) fn at(offset: i64) -> Committed {
        Committed {
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
                .commit("g", vec![(key("t", 0), at(i)), (key("gone", 0), at(i))])
                .unwrap();
            offsets.commit("gone", vec![(key("t", 0), at(i))]).unwrap();
        }
        assert!(offsets.remove_group("gone").unwrap());
        assert!(!offsets.remove_group("never").unwrap());
        offsets.remove_topic("gone").unwrap();
        let commits = vec![(key("t", 1), at(1)), (key("t", 2), at(2))];
        offsets.commit("g", commits).unwrap();
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_torn_tail_costs_only_torn_commits(cut in any::<prop::sample::Index>(), flip in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            for i in 0..10 {
                offsets.commit("g", vec![(key("t", 0), at(i))]).unwrap();
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
            // And it can be written to again.
            offsets.commit("g", vec![(key("t", 0), at(50))]).unwrap();
            drop(offsets);
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            prop_assert_eq!(offset_of(&offsets, "g", "t"), Some(50));
        }
    }
}
