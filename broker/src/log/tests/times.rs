//! Tests of logs whose producers left the largest timestamp of a batch out: batches of now get it from their records,
//! those of earlier versions are on disk without it, and some records have no timestamp at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    ids::Offset,
    log::{config::LogConfig, partition_log::PartitionLog},
    record::{
        batch::{
            self, NO_TIMESTAMP, RecordBatchHeader,
            tests::{Sample, sample},
        },
        compression,
    },
    storage::Trust,
};

const DAY: i64 = 86_400_000;
/// The time of the records.
const THEN: i64 = 20_000 * DAY;

fn settings() -> LogConfig {
    LogConfig {
        segment_bytes: 2 << 10,
        retention_ms: Some(7 * DAY),
        ..LogConfig::default()
    }
}

fn open(folder: &Path, settings: LogConfig) -> PartitionLog {
    PartitionLog::open(folder, settings, Trust::All).unwrap()
}

/// Returns a batch of three records with these timestamps, compressed with gzip in every other batch, whose header says
/// -1 for the largest one.
fn without_largest(base_offset: i64, base_timestamp: i64) -> Vec<u8> {
    let plain = sample(&Sample {
        base_offset,
        count: 3,
        base_timestamp,
        value_len: 100,
        ..Sample::default()
    });
    let codec = base_offset % 2;
    let mut bytes = plain[..batch::HEADER_LEN].to_vec();
    let records = compression::compress(codec as i16, &plain[batch::HEADER_LEN..]).unwrap();
    bytes.extend(records);
    let length = (bytes.len() - batch::LENGTH_PREFIX) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = codec as u8;
    bytes[35..43].copy_from_slice(&NO_TIMESTAMP.to_be_bytes());
    batch::write_crc(&mut bytes);
    bytes
}

/// Writes a folder as an earlier version left it: ten batches as they were sent, a day apart, in two segments, the first
/// of which has an index file of another format.
fn write_as_before(folder: &Path) {
    let mut files = [Vec::new(), Vec::new()];
    for i in 0..10 {
        let batch = without_largest(i * 3, THEN + i * DAY);
        files[usize::from(i >= 5)].extend(batch);
    }
    for (bytes, base) in files.iter().zip([0, 15]) {
        fs::write(segment(folder, base), bytes).unwrap();
    }
    fs::write(segment(folder, 0).with_extension("index"), b"2IVE").unwrap();
}

fn segment(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

fn append(partition: &PartitionLog, batch: &[u8]) {
    let header = batch::verify(batch).unwrap();
    partition.append(&header, batch).unwrap();
}

#[test]
fn what_is_stored_has_the_largest_timestamp_of_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path(), settings());
    append(&partition, &without_largest(0, THEN));
    let (bytes, _) = partition.read(Offset(0), 1, true).unwrap();
    let header = batch::verify(&bytes).unwrap();
    assert_eq!(header.max_timestamp, THEN + 2);
    let sent = without_largest(0, THEN);
    assert_eq!(bytes[batch::HEADER_LEN..], sent[batch::HEADER_LEN..]);
    assert_eq!(
        partition.find_newest().unwrap(),
        Some((THEN + 2, Offset(2)))
    );
    assert_eq!(partition.apply_retention(THEN + 6 * DAY).unwrap(), 0);
    assert_eq!(partition.apply_retention(THEN + 8 * DAY).unwrap(), 1);
}

#[test]
fn a_log_from_before_is_found_by_time_and_kept_as_long_as_it_should() {
    let dir = tempfile::tempdir().unwrap();
    write_as_before(dir.path());
    for _ in 0..2 {
        let partition = open(dir.path(), settings());
        for i in 0..10 {
            for (time, offset) in [(THEN + i * DAY, i * 3), (THEN + i * DAY + 1, i * 3 + 1)] {
                let expected = Some((time, Offset(offset)));
                assert_eq!(partition.find_by_time(time).unwrap(), expected);
            }
        }
        assert_eq!(partition.find_by_time(THEN + 10 * DAY).unwrap(), None);
        let newest = Some((THEN + 9 * DAY + 2, Offset(29)));
        assert_eq!(partition.find_newest().unwrap(), newest);
        // The first segment ends with a record of the fourth day.
        assert_eq!(partition.apply_retention(THEN + 11 * DAY).unwrap(), 0);
        // The second round finds the index files and the checkpoint of the first one.
        partition.close().unwrap();
    }
    let partition = open(dir.path(), settings());
    partition.delete_records(Some(Offset(20))).unwrap();
    let newest = Some((THEN + 9 * DAY + 2, Offset(29)));
    assert_eq!(partition.find_newest().unwrap(), newest);
    assert_eq!(partition.apply_retention(THEN + 16 * DAY).unwrap(), 0);
    assert_eq!(partition.apply_retention(THEN + 17 * DAY).unwrap(), 1);
}

#[test]
fn the_log_start_of_a_checkpoint_from_before_holds() {
    let dir = tempfile::tempdir().unwrap();
    write_as_before(dir.path());
    let partition = open(dir.path(), settings());
    partition.delete_records(Some(Offset(20))).unwrap();
    drop(partition);
    // The checkpoint of an earlier version lacks the last byte of the payload.
    let path = dir.path().join("checkpoint");
    let bytes = fs::read(&path).unwrap();
    let payload = &bytes[8..bytes.len() - 1];
    let mut before = (payload.len() as u32).to_le_bytes().to_vec();
    before.extend(crc32c::crc32c(payload).to_le_bytes());
    before.extend(payload);
    fs::write(&path, before).unwrap();
    let partition = open(dir.path(), settings());
    assert_eq!(partition.bounds().start, Offset(20));
    let found = partition.find_by_time(THEN + 7 * DAY).unwrap();
    assert_eq!(found, Some((THEN + 7 * DAY, Offset(21))));
}

#[test]
fn records_without_any_timestamp_are_as_old_as_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path(), settings());
    // The records have the timestamps -3, -2 and -1.
    append(&partition, &without_largest(0, -3));
    assert_eq!(partition.find_newest().unwrap(), Some((-1, Offset(2))));
    assert_eq!(partition.find_by_time(0).unwrap(), None);
    let file = File::options().write(true).open(segment(dir.path(), 0));
    let written = UNIX_EPOCH + Duration::from_millis(THEN as u64);
    file.unwrap().set_modified(written).unwrap();
    assert_eq!(partition.apply_retention(THEN + 6 * DAY).unwrap(), 0);
    assert_eq!(partition.apply_retention(THEN + 8 * DAY).unwrap(), 1);
}

#[test]
fn segments_without_a_first_timestamp_begin_by_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let patient = LogConfig {
        segment_ms: 3_600_000,
        segment_bytes: 1 << 20,
        ..settings()
    };
    let partition = open(dir.path(), patient);
    append(&partition, &without_largest(0, -3));
    append(&partition, &without_largest(0, crate::clock::now_ms()));
    append(&partition, &without_largest(0, -3));
    partition.close().unwrap();
    assert!(segment(dir.path(), 0).exists());
    assert!(
        !segment(dir.path(), 3).exists(),
        "a segment began too early"
    );
}

#[test]
fn compaction_waits_for_the_age_of_records_whose_header_has_no_timestamp() {
    let dir = tempfile::tempdir().unwrap();
    write_as_before(dir.path());
    let compacted = |lag| LogConfig {
        compact: true,
        delete: false,
        min_dirty_ratio: 0.0,
        min_compaction_lag_ms: lag,
        ..settings()
    };
    let partition = open(dir.path(), compacted(7 * DAY));
    // The newest record of the first segment is four days old, and then seven.
    assert_eq!(partition.clean_if_due(THEN + 8 * DAY).unwrap(), None);
    let cleaned = partition.clean_if_due(THEN + 12 * DAY).unwrap();
    assert!(cleaned.is_some());
}

#[test]
fn a_batch_from_before_that_cannot_be_read_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut damaged = without_largest(0, THEN);
    damaged[batch::HEADER_LEN..].fill(0xff);
    batch::write_crc(&mut damaged);
    let whole = without_largest(3, THEN);
    fs::write(segment(dir.path(), 0), [&damaged[..], &whole].concat()).unwrap();
    fs::write(segment(dir.path(), 6), b"").unwrap();
    let compacted = LogConfig {
        compact: true,
        delete: false,
        min_dirty_ratio: 0.0,
        ..settings()
    };
    let partition = open(dir.path(), compacted);
    partition.clean_if_due(THEN + DAY).unwrap().unwrap();
    // The records of the other batch have no keys, and compaction drops them.
    let (bytes, _) = partition.read(Offset(0), 1 << 20, true).unwrap();
    assert_eq!(&bytes[..], &damaged[..]);
    let header = RecordBatchHeader::parse(&bytes).unwrap();
    assert_eq!(partition.find_by_time(0).unwrap(), None, "{header:?}");
}
