//! Tests of retention and of deleting records.

use std::{fs, path::Path};

use crate::{
    ids::Offset,
    log::{
        config::LogConfig, partition_log::PartitionLog, read::ReadError, retention::DeleteError,
    },
    record::batch::{
        self,
        tests::{Sample, sample},
    },
    storage::Trust,
};

fn settings() -> LogConfig {
    LogConfig {
        segment_bytes: 4 << 10,
        ..LogConfig::default()
    }
}

/// Returns a log of 100 records, where record `i` has the timestamp `1_000 + i` ms.
fn filled(folder: &Path, settings: LogConfig) -> PartitionLog {
    let partition = PartitionLog::open(folder, settings, Trust::All).unwrap();
    for i in 0..100 {
        let bytes = sample(&Sample {
            base_timestamp: 1_000 + i,
            value_len: 200,
            ..Sample::default()
        });
        let header = batch::verify(&bytes).unwrap();
        partition.append(&header, &bytes).unwrap();
    }
    partition
}

fn logs(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".log"))
        .count()
}

#[test]
fn deleted_records_are_gone_for_readers_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path(), settings());
    let before = logs(dir.path());
    assert_eq!(
        partition.delete_records(Some(Offset(50))).unwrap(),
        Offset(50)
    );
    assert_eq!(
        partition.delete_records(Some(Offset(20))).unwrap(),
        Offset(50)
    );
    assert!(logs(dir.path()) < before);
    drop(partition);
    let partition = PartitionLog::open(dir.path(), settings(), Trust::All).unwrap();
    assert_eq!(partition.bounds().start, Offset(50));
    assert!(matches!(
        partition.read(Offset(49), 1, true),
        Err(ReadError::OutOfRange(_))
    ));
    let (bytes, _) = partition.read(Offset(50), 1, true).unwrap();
    assert_eq!(batch::verify(&bytes).unwrap().base_offset, Offset(50));
    assert_eq!(
        partition.find_by_time(0).unwrap(),
        Some((1_050, Offset(50)))
    );
    assert_eq!(partition.find_newest().unwrap(), Some((1_099, Offset(99))));
    for requested in [-2, 101] {
        let refused = partition.delete_records(Some(Offset(requested)));
        assert!(matches!(refused, Err(DeleteError::OutOfRange { .. })));
    }
    assert_eq!(partition.delete_records(None).unwrap(), Offset(100));
    assert_eq!(partition.find_newest().unwrap(), None);
    assert_eq!(partition.find_by_time(0).unwrap(), None);
    assert!(partition.read(Offset(100), 1, true).unwrap().0.is_empty());
}

#[test]
fn old_segments_go_the_last_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let by_age = LogConfig {
        retention_ms: Some(500),
        ..settings()
    };
    let partition = filled(dir.path(), by_age);
    assert_eq!(partition.apply_retention(1_500).unwrap(), 0);
    assert!(partition.apply_retention(1_550).unwrap() > 0);
    let start = partition.bounds().start;
    assert!(Offset(0) < start && start <= Offset(50), "{start}");
    partition.apply_retention(10_000).unwrap();
    let bounds = partition.bounds();
    assert_eq!((bounds.start, bounds.end), (Offset(100), Offset(100)));
    assert_eq!(logs(dir.path()), 1);
    drop(partition);
    let partition = PartitionLog::open(dir.path(), settings(), Trust::All).unwrap();
    assert_eq!(partition.bounds(), bounds);
}

#[test]
fn what_is_too_much_goes_and_what_fits_stays() {
    let dir = tempfile::tempdir().unwrap();
    let by_size = LogConfig {
        retention_bytes: Some(10 << 10),
        ..settings()
    };
    let partition = filled(dir.path(), by_size);
    partition.apply_retention(0).unwrap();
    let size = partition.size();
    assert!((10 << 10..14 << 10).contains(&size), "{size}");
    assert_eq!(partition.bounds().end, Offset(100));
    assert_eq!(partition.apply_retention(0).unwrap(), 0);
}

#[test]
fn without_the_delete_policy_nothing_goes() {
    let dir = tempfile::tempdir().unwrap();
    let compacted = LogConfig {
        delete: false,
        retention_ms: Some(1),
        retention_bytes: Some(1),
        ..settings()
    };
    let partition = filled(dir.path(), compacted);
    assert_eq!(partition.apply_retention(i64::MAX).unwrap(), 0);
    assert_eq!(partition.bounds().start, Offset(0));
}
