//! What consumer groups committed, in memory and in the file `offsets`, which only grows until it is compacted.
//!
//! An entry of the file: length u32, CRC-32C u32 over the payload, payload; all integers little-endian. The payload is
//! a kind byte, then its fields, strings with a u32 length in front:
//!
//! - 0, a commit: group, topic, partition i32, offset i64, leader epoch i32, time i64 (ms), metadata
//! - 1, a group's end: group
//! - 2, a topic's end: topic
//!
//! An entry is written before its commit is answered, so a kill loses none; a torn one at the end is cut at start.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use super::ids::{Offset, PartitionId};
use super::storage::{read_if_exists, write_whole};

/// The file is compacted once it is larger than this and than twice what it was after the last time.
const COMPACT_ABOVE: u64 = 4 << 20;
const ENTRY_HEAD: usize = 8;

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

type Groups = BTreeMap<String, BTreeMap<TopicPartition, Committed>>;

/// The committed offsets of every group.
#[derive(Debug)]
pub struct CommittedOffsets {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    groups: Groups,
    file: File,
    size: u64,
    compacted_size: u64,
}

impl CommittedOffsets {
    /// Reads the file, cuts a torn tail, and compacts.
    pub fn open(folder: &Path) -> Result<CommittedOffsets, Error> {
        let path = folder.join("offsets");
        let mut groups = Groups::new();
        let bytes = read_if_exists(&path)?.unwrap_or_default();
        let whole = replay(&bytes, &mut groups);
        if whole < bytes.len() {
            tracing::warn!(path = %path.display(), cut_bytes = bytes.len() - whole, "cut a torn tail");
        }
        let (file, size) = compact(&path, &groups)?;
        let state = Mutex::new(State {
            groups,
            file,
            size,
            compacted_size: size,
        });
        Ok(CommittedOffsets { path, state })
    }

    /// Stores commits of one group before it returns; after an error none of them counts.
    pub fn commit(
        &self,
        group: &str,
        commits: Vec<(TopicPartition, Committed)>,
    ) -> Result<(), Error> {
        if commits.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (partition, committed) in &commits {
            put_commit(&mut bytes, group, partition, committed);
        }
        let mut state = self.lock();
        self.append(&mut state, &bytes)?;
        state
            .groups
            .entry(group.to_owned())
            .or_default()
            .extend(commits);
        self.compact_if_due(&mut state)
    }

    /// What the group committed for a partition.
    pub fn get(&self, group: &str, partition: &TopicPartition) -> Option<Committed> {
        self.lock().groups.get(group)?.get(partition).cloned()
    }

    /// Everything that the group committed.
    pub fn all(&self, group: &str) -> BTreeMap<TopicPartition, Committed> {
        self.lock().groups.get(group).cloned().unwrap_or_default()
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
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| {
            payload.push(1);
            put_text(payload, group);
        });
        self.append(&mut state, &bytes)?;
        state.groups.remove(group);
        Ok(true)
    }

    /// Forgets what all groups committed for a topic that is deleted.
    pub fn remove_topic(&self, topic: &str) -> Result<(), Error> {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| {
            payload.push(2);
            put_text(payload, topic);
        });
        let mut state = self.lock();
        self.append(&mut state, &bytes)?;
        forget_topic(&mut state.groups, topic);
        Ok(())
    }

    /// Waits until the disk has everything.
    pub fn sync(&self) -> Result<(), Error> {
        self.lock()
            .file
            .sync_data()
            .map_err(Error::io("sync", &self.path))
    }

    fn append(&self, state: &mut State, bytes: &[u8]) -> Result<(), Error> {
        if let Err(error) = state.file.write_all(bytes) {
            // What was written of it must not stand in front of the next entry.
            let size = state.size;
            let cut = state.file.set_len(size);
            cut.and_then(|()| state.file.seek(SeekFrom::Start(size)))
                .map_err(Error::io("cut", &self.path))?;
            return Err(Error::io("write", &self.path)(error));
        }
        state.size += bytes.len() as u64;
        Ok(())
    }

    fn compact_if_due(&self, state: &mut State) -> Result<(), Error> {
        if state.size > COMPACT_ABOVE.max(state.compacted_size * 2) {
            (state.file, state.size) = compact(&self.path, &state.groups)?;
            state.compacted_size = state.size;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Replaces the file by one with the newest commits only, and opens that at its end.
fn compact(path: &Path, groups: &Groups) -> Result<(File, u64), Error> {
    let mut bytes = Vec::new();
    for (group, commits) in groups {
        for (partition, committed) in commits {
            put_commit(&mut bytes, group, partition, committed);
        }
    }
    write_whole(path, &bytes)?;
    let open = || -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    };
    let file = open().map_err(Error::io("open", path))?;
    Ok((file, bytes.len() as u64))
}

fn forget_topic(groups: &mut Groups, topic: &str) {
    groups.retain(|_, commits| {
        commits.retain(|(name, _), _| name != topic);
        !commits.is_empty()
    });
}

/// Applies the whole entries at the start of `bytes`; returns how many bytes they are.
fn replay(bytes: &[u8], groups: &mut Groups) -> usize {
    let mut at = 0;
    while let Some(payload) = entry(&bytes[at..]) {
        if apply(payload, groups).is_none() {
            break;
        }
        at += ENTRY_HEAD + payload.len();
    }
    at
}

fn entry(bytes: &[u8]) -> Option<&[u8]> {
    let mut head = bytes.get(..ENTRY_HEAD)?;
    let (length, crc) = (u32_of(&mut head)?, u32_of(&mut head)?);
    let payload = bytes[ENTRY_HEAD..].get(..length as usize)?;
    (crc32c::crc32c(payload) == crc).then_some(payload)
}

fn apply(mut payload: &[u8], groups: &mut Groups) -> Option<()> {
    let kind = u8::from_le_bytes(*take(&mut payload)?);
    let name = text_of(&mut payload)?;
    match kind {
        0 => {
            let topic = text_of(&mut payload)?;
            let partition = PartitionId(i32::from_le_bytes(*take(&mut payload)?));
            let committed = Committed {
                offset: Offset(i64::from_le_bytes(*take(&mut payload)?)),
                leader_epoch: i32::from_le_bytes(*take(&mut payload)?),
                time: i64::from_le_bytes(*take(&mut payload)?),
                metadata: text_of(&mut payload)?,
            };
            let group = groups.entry(name).or_default();
            group.insert((topic, partition), committed);
        }
        1 => {
            groups.remove(&name);
        }
        2 => forget_topic(groups, &name),
        _ => return None,
    }
    Some(())
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take(bytes)?))
}

fn text_of(bytes: &mut &[u8]) -> Option<String> {
    let length = u32_of(bytes)? as usize;
    let text = bytes.get(..length)?;
    *bytes = &bytes[length..];
    String::from_utf8(text.to_vec()).ok()
}

fn put_commit(out: &mut Vec<u8>, group: &str, partition: &TopicPartition, committed: &Committed) {
    put_entry(out, |payload| {
        payload.push(0);
        put_text(payload, group);
        put_text(payload, &partition.0);
        payload.extend(partition.1.0.to_le_bytes());
        payload.extend(committed.offset.0.to_le_bytes());
        payload.extend(committed.leader_epoch.to_le_bytes());
        payload.extend(committed.time.to_le_bytes());
        put_text(payload, &committed.metadata);
    });
}

fn put_entry(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; ENTRY_HEAD]);
    write(out);
    let payload = &out[start + ENTRY_HEAD..];
    let (length, crc) = (payload.len() as u32, crc32c::crc32c(payload));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + ENTRY_HEAD].copy_from_slice(&crc.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(topic: &str, partition: i32) -> TopicPartition {
        (topic.to_owned(), PartitionId(partition))
    }

    fn at(offset: i64) -> Committed {
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
        for _ in 0..2 {
            let offsets = CommittedOffsets::open(dir.path()).unwrap();
            assert_eq!(offsets.get("g", &key("t", 0)), Some(at(9)));
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
