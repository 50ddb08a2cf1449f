//! Tests of a kill after every write: they restore the folder to that moment, with and without half of the next write, and
//! open it again.

use std::{
    fs::{self, File},
    path::Path,
};

use tempfile::TempDir;

use crate::{
    coordinator::{
        offsets::{CommittedOffsets, TopicPartition, tests::at},
        transaction::{
            TransactionCoordinator, TransactionError, TransactionStores,
            change::{self, TransactionChange},
            producer_ids::ProducerIdManager,
        },
    },
    ids::{Offset, PartitionId, Producer},
    record::{
        batch::{
            self,
            tests::{Sample, sample},
        },
        control_batch::Outcome,
    },
    storage::{Trust, tests::copy},
    topics::Topics,
};

const ID: &str = "tx";
const LOGS: [&str; 2] = [
    "logs/t-0/00000000000000000000.log",
    "logs/t-1/00000000000000000000.log",
];

/// Everything that takes part in transactions, opened in the order of the broker.
struct Opened {
    topics: Topics,
    offsets: CommittedOffsets,
    ids: ProducerIdManager,
    transactions: TransactionCoordinator,
}

impl Opened {
    fn from(folder: &Path) -> Opened {
        let topics = Topics::open(folder, 2, Trust::All).unwrap();
        topics.get_or_create("t").unwrap();
        let offsets = CommittedOffsets::open(folder).unwrap();
        let stores = TransactionStores {
            topics: &topics,
            offsets: &offsets,
        };
        let transactions = TransactionCoordinator::open(folder, stores).unwrap();
        Opened {
            ids: ProducerIdManager::open(folder).unwrap(),
            topics,
            offsets,
            transactions,
        }
    }

    fn stores(&self) -> TransactionStores<'_> {
        TransactionStores {
            topics: &self.topics,
            offsets: &self.offsets,
        }
    }

    fn begin(&self) -> Producer {
        let begun = self
            .transactions
            .begin(self.stores(), &self.ids, ID, 60_000, None);
        begun.unwrap()
    }

    fn add(&self, producer: Producer) {
        let partitions = vec![partition(0), partition(1)];
        let added = self
            .transactions
            .add_partitions(self.stores(), ID, producer, partitions);
        added.unwrap();
    }

    fn send(&self, producer: Producer, sequence: i32) {
        for log in &self.topics.get("t").unwrap().partitions {
            let bytes = sample(&Sample {
                count: 3,
                producer: (producer.id.0, producer.epoch, sequence),
                transactional: true,
                ..Sample::default()
            });
            log.append(&batch::verify(&bytes).unwrap(), &bytes).unwrap();
        }
    }

    fn commit_offsets(&self, producer: Producer) {
        self.transactions.add_group(ID, producer, "g").unwrap();
        let commits = vec![(partition(0), at(42))];
        let stored = self.transactions.commit_offsets(ID, producer, "g", commits);
        stored.unwrap();
    }

    fn end(&self, producer: Producer, outcome: Outcome) -> Result<(), TransactionError> {
        self.transactions.end(self.stores(), ID, producer, outcome)
    }

    /// Returns the number of committed records of each partition, and the committed offset of the group.
    fn visible(&self) -> ([usize; 2], Option<i64>) {
        let records = [0, 1].map(|i| {
            let log = &self.topics.get("t").unwrap().partitions[i];
            let (bytes, aborted, _) = log.read_committed(Offset(0), 1 << 20, true).unwrap();
            let mut records = 0;
            let mut rest = &bytes[..];
            while let Ok(header) = batch::RecordBatchHeader::parse(rest) {
                rest = &rest[header.size..];
                let offset = header.base_offset;
                let is_aborted = aborted.iter().any(|a| {
                    Some(a.producer) == header.producer_id && a.first <= offset && offset < a.last
                });
                if !is_aborted && !header.is_control() {
                    records += header.count as usize;
                }
            }
            records
        });
        let offset = self.offsets.get("g", &partition(0));
        (records, offset.map(|committed| committed.offset.0))
    }

    fn assert_settled(&self, what: &str) {
        for log in &self.topics.get("t").unwrap().partitions {
            let bounds = log.bounds();
            assert_eq!(bounds.stable, bounds.end, "{what}");
        }
    }
}

fn partition(i: i32) -> TopicPartition {
    ("t".to_owned(), PartitionId(i))
}

fn size(folder: &Path, file: &str) -> u64 {
    fs::metadata(folder.join(file)).unwrap().len()
}

/// Copies the folder and cuts some files to these sizes.
fn cut(folder: &Path, cuts: &[(&str, u64)]) -> TempDir {
    let dir = copy(folder);
    for (file, size) in cuts {
        let file = File::options().write(true).open(dir.path().join(file));
        file.unwrap().set_len(*size).unwrap();
    }
    dir
}

const NOTHING: ([usize; 2], Option<i64>) = ([0, 0], None);
const ALL: ([usize; 2], Option<i64>) = ([3, 3], Some(42));

#[test]
fn a_kill_before_the_decision_leaves_it_open_to_either_end() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::from(dir.path());
    let producer = opened.begin();
    let steps: [&dyn Fn(); 3] = [
        &|| opened.add(producer),
        &|| opened.send(producer, 0),
        &|| opened.commit_offsets(producer),
    ];
    for (done, step) in steps.iter().enumerate() {
        for outcome in [Outcome::Commit, Outcome::Abort] {
            let copy = cut(dir.path(), &[]);
            let again = Opened::from(copy.path());
            assert_eq!(again.visible(), NOTHING);
            // The producer continues as if nothing had happened.
            if done == 0 {
                again.add(producer);
            }
            if done <= 1 {
                again.send(producer, 0);
            }
            again.commit_offsets(producer);
            assert_eq!(again.visible(), NOTHING);
            again.end(producer, outcome).unwrap();
            let expected = if outcome == Outcome::Commit {
                ALL
            } else {
                NOTHING
            };
            assert_eq!(again.visible(), expected, "{done} {outcome:?}");
            again.assert_settled("ended");
        }
        // A new producer gets the transactional id.
        let copy = cut(dir.path(), &[]);
        let again = Opened::from(copy.path());
        assert_eq!(again.begin().id, producer.id);
        assert!(matches!(
            again.end(producer, Outcome::Commit),
            Err(TransactionError::Fenced)
        ));
        assert_eq!(again.visible(), NOTHING);
        again.assert_settled("fenced");
        step();
    }
}

#[test]
fn a_kill_after_the_decision_changes_nothing_of_it() {
    for outcome in [Outcome::Commit, Outcome::Abort] {
        let dir = tempfile::tempdir().unwrap();
        let opened = Opened::from(dir.path());
        let producer = opened.begin();
        opened.add(producer);
        opened.send(producer, 0);
        opened.commit_offsets(producer);
        let files = ["transactions", LOGS[0], LOGS[1], "offsets", "transactions"];
        let before = files.map(|file| size(dir.path(), file));
        opened.end(producer, outcome).unwrap();
        let mut prepared = Vec::new();
        let change = TransactionChange::Prepared {
            outcome,
            epoch: producer.epoch,
            time: 0,
        };
        change::put(&mut prepared, ID, Some(&change));
        drop(opened);

        // The writes that end the transaction, in order, each with the size of the file before and after it.
        let mut writes: Vec<(&str, u64, u64)> = Vec::new();
        for (file, before) in files.into_iter().zip(before) {
            writes.push((file, before, size(dir.path(), file)));
        }
        writes[0].2 = before[0] + prepared.len() as u64;
        writes[4].1 = writes[0].2;
        for done in 0..=writes.len() {
            for torn in [false, true] {
                // Cuts off what was not written yet. A file that is cut twice ends at its smaller size.
                let mut cuts: Vec<_> = writes[done..].iter().map(|w| (w.0, w.1)).collect();
                cuts.reverse();
                if let (true, Some((file, from, to))) = (torn, writes.get(done)) {
                    cuts.push((file, (from + to) / 2));
                }
                let what = format!("{outcome:?}, {done} writes, torn {torn}");
                let copy = cut(dir.path(), &cuts);
                let again = Opened::from(copy.path());
                let decided = done > 0;
                let expected = match outcome {
                    Outcome::Commit if decided => ALL,
                    _ => NOTHING,
                };
                assert_eq!(again.visible(), expected, "{what}");
                let retried = again.end(producer, outcome);
                assert!(retried.is_ok(), "{what}: {retried:?}");
                again.assert_settled(&what);
                let expected = if outcome == Outcome::Commit {
                    ALL
                } else {
                    NOTHING
                };
                assert_eq!(again.visible(), expected, "{what}");
                // The same again from the result.
                drop(again);
                assert_eq!(Opened::from(copy.path()).visible(), expected, "{what}");
            }
        }
    }
}

#[test]
fn what_only_a_log_knows_is_aborted_unless_the_journal_says_committed() {
    for (outcome, expected) in [(Outcome::Commit, [3, 3]), (Outcome::Abort, [0, 0])] {
        let dir = tempfile::tempdir().unwrap();
        let opened = Opened::from(dir.path());
        let producer = opened.begin();
        opened.add(producer);
        opened.send(producer, 0);
        let before = LOGS.map(|file| (file, size(dir.path(), file)));
        opened.end(producer, outcome).unwrap();
        // A power cut has lost the control batches but not the journal.
        let copy = cut(dir.path(), &before);
        let again = Opened::from(copy.path());
        assert_eq!(again.visible().0, expected);
        again.assert_settled("orphans");
    }
}

#[test]
fn an_id_keeps_its_epochs_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let producers: Vec<_> = (0..3).map(|_| Opened::from(dir.path()).begin()).collect();
    let epochs: Vec<_> = producers.iter().map(|p| (p.id, p.epoch)).collect();
    let id = producers[0].id;
    assert_eq!(epochs, [(id, 0), (id, 1), (id, 2)]);
}

#[test]
fn what_is_about_to_be_committed_is_unstable() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::from(dir.path());
    let producer = opened.begin();
    opened.commit_offsets(producer);
    let unstable = || opened.transactions.is_unstable("g", &partition(0));
    assert!(unstable());
    assert!(!opened.transactions.is_unstable("g", &partition(1)));
    opened.end(producer, Outcome::Commit).unwrap();
    assert!(!unstable());
}

#[test]
fn a_deleted_topic_does_not_hold_up_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::from(dir.path());
    let producer = opened.begin();
    opened.add(producer);
    opened.send(producer, 0);
    opened.commit_offsets(producer);
    opened.topics.delete("t").unwrap();
    opened.end(producer, Outcome::Commit).unwrap();
    assert!(!opened.offsets.has_group("g"));
}
