//! Tests that what was appended to a log reads back, whatever happens in between.

use std::{fs, path::Path};

use crate::{
    ids::Offset,
    log::{config::LogConfig, partition_log::PartitionLog, read::ReadError},
    record::batch::{
        self,
        tests::{Sample, sample},
    },
    storage::Trust,
};

fn open(folder: &Path) -> PartitionLog {
    let settings = LogConfig {
        segment_bytes: 4 << 10,
        ..LogConfig::default()
    };
    PartitionLog::open(folder, settings, Trust::All).unwrap()
}

fn append(partition: &PartitionLog, count: i32, base_timestamp: i64) -> Offset {
    let bytes = sample(&Sample {
        count,
        base_timestamp,
        value_len: 100,
        ..Sample::default()
    });
    let header = batch::verify(&bytes).unwrap();
    partition.append(&header, &bytes).unwrap().base_offset
}

#[test]
fn every_offset_reads_back_over_many_segments_and_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for i in 0..100 {
        assert_eq!(append(&partition, 3, 1_000 + i * 10), Offset(i * 3));
    }
    assert!(fs::read_dir(dir.path()).unwrap().count() > 5);
    for partition in [partition, open(dir.path())] {
        assert_eq!(partition.bounds().end, Offset(300));
        for offset in 0..300 {
            let (bytes, _) = partition.read(Offset(offset), 1, true).unwrap();
            let header = batch::verify(&bytes).unwrap();
            assert!(header.base_offset.0 <= offset && offset <= header.last_offset().0);
        }
        assert!(partition.read(Offset(300), 1, true).unwrap().0.is_empty());
        assert!(matches!(
            partition.read(Offset(301), 1, true),
            Err(ReadError::OutOfRange(_))
        ));
    }
}

#[test]
fn max_bytes_gives_whole_batches_only() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for _ in 0..4 {
        append(&partition, 1, 0);
    }
    let one = partition.read(Offset(0), 1, true).unwrap().0.len();
    let read = |max, at_least_one| {
        partition
            .read(Offset(1), max, at_least_one)
            .unwrap()
            .0
            .len()
    };
    assert_eq!(read(one * 2 + 5, false), one * 2);
    assert_eq!(read(one - 1, false), 0);
    assert_eq!(read(one - 1, true), one);
    assert_eq!(partition.bytes_since(Offset(1)).unwrap(), one as u64 * 3);
}

#[test]
fn records_are_found_by_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for i in 0..100 {
        append(&partition, 3, 1_000 + i * 10);
    }
    let at = |timestamp| partition.find_by_time(timestamp).unwrap();
    assert_eq!(at(0), Some((1_000, Offset(0))));
    assert_eq!(at(1_501), Some((1_501, Offset(151))));
    assert_eq!(at(1_503), Some((1_510, Offset(153))));
    assert_eq!(at(1_993), None);
    assert_eq!(partition.find_newest().unwrap(), Some((1_992, Offset(299))));
}

#[test]
fn a_retry_is_not_stored_again_after_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(&Sample {
        count: 2,
        producer: (5, 0, 0),
        ..Sample::default()
    });
    let header = batch::verify(&bytes).unwrap();
    for _ in 0..3 {
        let partition = open(dir.path());
        let stored = partition.append(&header, &bytes).unwrap();
        assert_eq!(stored.base_offset, Offset(0));
        assert_eq!(partition.bounds().end, Offset(2));
    }
}

#[test]
fn what_a_failed_sync_may_have_lost_never_counts_as_synced() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    append(&partition, 1, 1_000);
    partition.sync().unwrap();
    assert!(!partition.is_dirty());
    append(&partition, 1, 1_000);
    // The state after a failed sync of another request.
    partition.state.lock().failed = true;
    for _ in 0..2 {
        assert!(partition.is_dirty());
        assert!(partition.sync().is_err());
    }
    assert!(partition.close().is_err());
}
