//! What goes and what stays, and what a reader sees of it.

use std::fs;
use std::path::Path;

use crate::log::partition_log::Partition;
use crate::log::read::ReadError;
use crate::log::retention::DeleteError;
use crate::log::config::Settings;
use crate::record::batch::{self, tests::Sample, tests::sample};
use crate::ids::Offset;
use crate::storage::Trust;

fn settings() -> Settings {
    Settings {
        segment_bytes: 4 << 10,
        ..Settings::default()
    }
}

/// 100 records, the record `i` stamped `1_000 + i` ms.
fn filled(folder: &Path, settings: Settings) -> Partition {
    let partition = Partition::open(folder, settings, Trust::All).unwrap();
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
    let partition = Partition::open(dir.path(), settings(), Trust::All).unwrap();
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
    for asked in [-2, 101] {
        let refused = partition.delete_records(Some(Offset(asked)));
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
    let by_age = Settings {
        retention_ms: Some(500),
        ..settings()
    };
    let partition = filled(dir.path(), by_age);
    assert_eq!(partition.retain(1_500).unwrap(), 0);
    assert!(partition.retain(1_550).unwrap() > 0);
    let start = partition.bounds().start;
    assert!(Offset(0) < start && start <= Offset(50), "{start}");
    partition.retain(10_000).unwrap();
    let bounds = partition.bounds();
    assert_eq!((bounds.start, bounds.end), (Offset(100), Offset(100)));
    assert_eq!(logs(dir.path()), 1);
    drop(partition);
    let partition = Partition::open(dir.path(), settings(), Trust::All).unwrap();
    assert_eq!(partition.bounds(), bounds);
}

#[test]
fn what_is_too_much_goes_and_what_fits_stays() {
    let dir = tempfile::tempdir().unwrap();
    let by_size = Settings {
        retention_bytes: Some(10 << 10),
        ..settings()
    };
    let partition = filled(dir.path(), by_size);
    partition.retain(0).unwrap();
    let size = partition.size();
    assert!((10 << 10..14 << 10).contains(&size), "{size}");
    assert_eq!(partition.bounds().end, Offset(100));
    assert_eq!(partition.retain(0).unwrap(), 0);
}

#[test]
fn without_the_delete_policy_nothing_goes() {
    let dir = tempfile::tempdir().unwrap();
    let compacted = Settings {
        delete: false,
        retention_ms: Some(1),
        retention_bytes: Some(1),
        ..settings()
    };
    let partition = filled(dir.path(), compacted);
    assert_eq!(partition.retain(i64::MAX).unwrap(), 0);
    assert_eq!(partition.bounds().start, Offset(0));
}
