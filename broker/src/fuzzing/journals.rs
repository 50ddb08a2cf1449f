//! Any bytes as the journals of groups, committed offsets and transactions.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    coordinator::{
        group::GroupCoordinator,
        offsets::{CommittedOffset, CommittedOffsets, TopicPartition},
        transaction::{TransactionCoordinator, TransactionStores},
    },
    storage::{Trust, journal::put_entry},
    topics::{TopicSettings, Topics},
};

/// The file names of the journals.
const JOURNALS: [&str; 3] = ["groups", "offsets", "transactions"];

/// The topic that transactions may name.
const TOPIC: &str = "t";

/// Starts the coordinators in `folder`, which must be empty, on journals made from `recipe`; then restarts them twice.
///
/// # Panics
///
/// Panics if they do not start, or if a restart changes what they know.
pub fn journals(folder: &Path, recipe: &[u8]) {
    write_journals(folder, recipe);
    let topics = Topics::open(folder, 1, Trust::All).expect("the folder is empty");
    let created = topics.create(TOPIC, None, TopicSettings::default());
    created.expect("the disk takes it");
    let first = start(folder, &topics);
    let second = start(folder, &topics);
    assert_eq!(first.offsets, second.offsets);
    assert_eq!(first.files[0], second.files[0]);
    // The first start has completed what was decided, and appended that.
    let third = start(folder, &topics);
    assert_eq!(second.files, third.files);
}

/// What is known after a start.
struct Started {
    offsets: BTreeMap<String, BTreeMap<TopicPartition, CommittedOffset>>,
    files: [Vec<u8>; 3],
}

fn start(folder: &Path, topics: &Topics) -> Started {
    let offsets = CommittedOffsets::open(folder).expect("a damaged end is cut off");
    GroupCoordinator::open(folder).expect("a damaged end is cut off");
    let stores = TransactionStores {
        topics,
        offsets: &offsets,
    };
    TransactionCoordinator::open(folder, stores).expect("a damaged end is cut off");
    let groups = offsets.groups().into_iter();
    Started {
        offsets: groups
            .map(|group| (group.clone(), offsets.all(&group)))
            .collect(),
        files: JOURNALS.map(|name| fs::read(folder.join(name)).expect("it was rewritten")),
    }
}

/// Writes the journals from a recipe. Each step of it is a kind, a length and that number of bytes. The kind chooses the
/// journal, and whether the bytes become an entry with the right checksum.
fn write_journals(folder: &Path, recipe: &[u8]) {
    let mut files = [(); 3].map(|()| Vec::new());
    let mut rest = recipe;
    while let [kind, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let file = &mut files[usize::from(kind % 4).min(2)];
        match kind & 0x80 {
            0 => put_entry(file, |payload| payload.extend(bytes)),
            _ => file.extend(bytes),
        }
    }
    for (name, bytes) in JOURNALS.iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("the disk takes it");
    }
}
