//! Tests of what a start finds, and what it has to read for that, after each way to end.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    ids::{Offset, Producer, ProducerId},
    log::{Isolation, config::LogConfig, partition_log::PartitionLog},
    record::{
        batch::{
            self,
            tests::{Sample, sample},
        },
        control_batch::Outcome,
    },
    storage::Trust,
};

const P: Producer = Producer {
    id: ProducerId(9),
    epoch: 0,
};

fn open(folder: &Path, trust: Trust) -> PartitionLog {
    let settings = LogConfig {
        segment_bytes: 4 << 10,
        ..LogConfig::default()
    };
    PartitionLog::open(folder, settings, trust).unwrap()
}

fn batch(sequence: i32, transactional: bool) -> Vec<u8> {
    sample(&Sample {
        count: 1,
        producer: (P.id.0, P.epoch, sequence),
        transactional,
        value_len: 200,
        ..Sample::default()
    })
}

fn append(partition: &PartitionLog, batch: &[u8]) -> Offset {
    let header = batch::verify(batch).unwrap();
    partition.append(&header, batch).unwrap().base_offset
}

/// Returns a log of 60 batches in about four segments.
fn filled(folder: &Path) -> PartitionLog {
    let partition = open(folder, Trust::All);
    for sequence in 0..60 {
        append(&partition, &batch(sequence, false));
    }
    partition
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// Makes the first batch of a file unreadable.
fn damage(file: &Path) {
    let file = File::options().write(true).open(file).unwrap();
    file.write_all_at(&[0xff; 64], 0).unwrap();
}

fn assert_whole(partition: &PartitionLog) {
    assert_eq!(partition.bounds().end, Offset(60));
    for offset in 0..60 {
        let (bytes, _) = partition.read(Offset(offset), 1, true).unwrap();
        assert_eq!(batch::verify(&bytes).unwrap().base_offset, Offset(offset));
    }
    // The producer state is there as well.
    assert_eq!(append(partition, &batch(59, false)), Offset(59));
    assert_eq!(append(partition, &batch(60, false)), Offset(60));
}

#[test]
fn after_an_orderly_end_nothing_of_the_log_is_read() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).close().unwrap();
    let logs = files(dir.path(), "log");
    assert_eq!(files(dir.path(), "index").len(), logs.len() - 1);
    let originals: Vec<_> = logs.iter().map(|log| fs::read(log).unwrap()).collect();
    logs.iter().for_each(|log| damage(log));
    let partition = open(dir.path(), Trust::All);
    for (log, original) in logs.iter().zip(originals) {
        fs::write(log, original).unwrap();
    }
    assert_whole(&partition);
}

#[test]
fn after_a_kill_what_follows_the_checkpoint_is_read() {
    for sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let partition = filled(dir.path());
        if sealed {
            partition.seal().unwrap();
        }
        assert_eq!(files(dir.path(), "index").is_empty(), !sealed);
        drop(partition);
        assert_whole(&open(dir.path(), Trust::All));
    }
}

#[test]
fn files_that_are_missing_or_spoilt_cost_time_and_nothing_else() {
    for trust in [Trust::All, Trust::Checksums] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).close().unwrap();
        for index in files(dir.path(), "index") {
            damage(&index);
        }
        fs::write(dir.path().join("checkpoint"), "no checkpoint").unwrap();
        fs::write(dir.path().join("checkpoint.new"), "half of one").unwrap();
        assert_whole(&open(dir.path(), trust));
        assert!(files(dir.path(), "new").is_empty());
    }
}

#[test]
fn an_index_that_names_what_is_not_there_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).close().unwrap();
    let index = &files(dir.path(), "index")[0];
    let mut bytes = fs::read(index).unwrap();
    let entries = bytes.len() - 24;
    bytes[entries + 8] ^= 1;
    fs::write(index, bytes).unwrap();
    assert_whole(&open(dir.path(), Trust::All));
}

#[test]
fn a_power_cut_costs_what_was_not_synced_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path());
    partition.seal().unwrap();
    let sealed_to = Segments::of(dir.path()).last_base;
    for sequence in 60..100 {
        append(&partition, &batch(sequence, false));
    }
    drop(partition);
    // A part of an unsealed segment is zeros on disk.
    let lost = files(dir.path(), "log")
        .into_iter()
        .find(|log| Segments::base(log) == sealed_to)
        .unwrap();
    let file = File::options().write(true).open(lost).unwrap();
    file.write_all_at(&[0; 100], 600).unwrap();
    let partition = open(dir.path(), Trust::Checksums);
    let end = partition.bounds().end;
    assert!(sealed_to < end && end < Offset(100), "{end}");
    let next = append(&partition, &batch(end.0 as i32, false));
    assert_eq!(next, end);
}

/// The base offsets in the names of the log files.
struct Segments {
    last_base: Offset,
}

impl Segments {
    fn of(folder: &Path) -> Segments {
        let last_base = Segments::base(files(folder, "log").last().unwrap());
        Segments { last_base }
    }

    fn base(log: &Path) -> Offset {
        Offset(log.file_stem().unwrap().to_str().unwrap().parse().unwrap())
    }
}

#[test]
fn transactions_from_before_the_checkpoint_are_known_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path(), Trust::All);
    partition.begin_transaction(P);
    append(&partition, &batch(0, true));
    partition.end_transaction(P, Outcome::Abort).unwrap();
    partition.begin_transaction(P);
    append(&partition, &batch(1, true));
    partition.close().unwrap();
    drop(partition);
    damage(&files(dir.path(), "log")[0]);
    let partition = open(dir.path(), Trust::All);
    assert_eq!(partition.orphans(), [P]);
    assert_eq!(partition.bounds().end_for(Isolation::Committed), Offset(2));
    partition.end_transaction(P, Outcome::Commit).unwrap();
    assert_eq!(partition.bounds().stable, Offset(4));
    let aborted = partition.with_transactions(|t| t.aborted_in(Offset(0), Offset(4)));
    assert_eq!(aborted.len(), 1);
}

#[test]
fn an_end_that_the_log_lost_again_begins_where_records_were_deleted_to() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path());
    partition.delete_records(Some(Offset(58))).unwrap();
    drop(partition);
    for log in files(dir.path(), "log") {
        File::options()
            .write(true)
            .open(log)
            .unwrap()
            .set_len(300)
            .unwrap();
    }
    let bounds = open(dir.path(), Trust::Checksums).bounds();
    assert_eq!((bounds.start, bounds.end), (Offset(58), Offset(58)));
}
