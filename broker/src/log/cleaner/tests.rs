//! Tests that after a cleaning, readers find the newest record of each key at the same offset as before.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{Producer, ProducerId},
    record::{
        batch::{
            self, HEADER_LEN, LENGTH_PREFIX, RecordBatchHeader,
            tests::{Sample, sample},
        },
        compression,
        control_batch::Outcome,
        records,
    },
    storage::{Trust, UNFINISHED, tests::copy},
};

const DAY: i64 = 86_400_000;
const NOW: i64 = 100 * DAY;

fn settings() -> LogConfig {
    LogConfig {
        segment_bytes: 2 << 10,
        compact: true,
        delete: false,
        min_dirty_ratio: 0.0,
        ..LogConfig::default()
    }
}

fn open(folder: &Path) -> PartitionLog {
    PartitionLog::open(folder, settings(), Trust::All).unwrap()
}

type Pair = (u8, Option<u8>);

/// Returns a batch of keys and values; a value of `None` makes a tombstone.
fn keyed(pairs: &[Pair], codec: i16, producer: (i64, i16, i32), transactional: bool) -> Vec<u8> {
    let mut bytes = sample(&Sample {
        count: pairs.len() as i32,
        base_timestamp: NOW - DAY,
        producer,
        transactional,
        ..Sample::default()
    });
    let mut plain = Vec::new();
    for (i, (key, value)) in pairs.iter().enumerate() {
        let mut body = vec![0, 2 * i as u8, 2 * i as u8, 2, *key];
        match value {
            // Long values, so that segments fill.
            Some(value) => body.extend([&[0xc6, 1][..], &[*value; 99]].concat()),
            None => body.push(1),
        }
        body.push(0);
        let length = body.len() as u64 * 2;
        match length < 0x80 {
            true => plain.push(length as u8),
            false => plain.extend([length as u8 | 0x80, (length >> 7) as u8]),
        }
        plain.extend(body);
    }
    bytes.truncate(HEADER_LEN);
    bytes.extend(compression::compress(codec, &plain).unwrap());
    let length = (bytes.len() - LENGTH_PREFIX) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= codec as u8;
    batch::write_crc(&mut bytes);
    bytes
}

fn append(partition: &PartitionLog, bytes: &[u8]) {
    let header = batch::verify(bytes).unwrap();
    assert_eq!(
        records::iter(&records::decompress(&header, bytes).unwrap()).count(),
        header.count as usize
    );
    partition.append(&header, bytes).unwrap();
}

/// Fills the last segment with keys that no test looks at, so that the segments before it are closed.
fn close_last(partition: &PartitionLog) {
    for i in 0..20 {
        append(
            partition,
            &keyed(&[(200 + i, Some(0))], 0, (-1, -1, -1), false),
        );
    }
}

/// Returns offset, key and value of every record that a reader gets.
fn read(partition: &PartitionLog) -> Vec<(i64, u8, Option<u8>)> {
    let mut found = Vec::new();
    let mut at = partition.bounds().start;
    while at < partition.bounds().end {
        let (bytes, _) = partition.read(at, 1, true).unwrap();
        if bytes.is_empty() {
            break;
        }
        let header = batch::verify(&bytes).unwrap();
        at = header.next_offset();
        if header.is_control() {
            continue;
        }
        for record in records::iter(&records::decompress(&header, &bytes).unwrap()) {
            let offset = header.base_offset.0 + record.offset_delta;
            let key = record.key.unwrap()[0];
            found.push((offset, key, record.value.map(|value| value[0])));
        }
    }
    found
}

fn newest(records: &[(i64, u8, Option<u8>)]) -> BTreeMap<u8, (i64, Option<u8>)> {
    records
        .iter()
        .map(|(offset, key, value)| (*key, (*offset, *value)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn of_each_key_the_newest_stays_where_it_was(
        batches in prop::collection::vec((prop::collection::vec((0..6u8, any::<Option<u8>>()), 1..8), 0..=4i16), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let partition = open(dir.path());
        for (pairs, codec) in &batches {
            append(&partition, &keyed(pairs, *codec, (-1, -1, -1), false));
        }
        close_last(&partition);
        let before = read(&partition);
        let end = partition.bounds().end;
        partition.clean_if_due(NOW).unwrap().unwrap();
        let after = read(&partition);
        prop_assert_eq!(newest(&after), newest(&before));
        prop_assert!(after.iter().all(|record| before.contains(record)));
        prop_assert!(after.is_sorted_by_key(|record| record.0));
        // A second cleaning changes nothing, and neither does a restart, with or without the index files.
        partition.clean_if_due(NOW).unwrap();
        prop_assert_eq!(&read(&partition), &after);
        drop(partition);
        for without in [false, true] {
            for entry in fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                if without && path.extension().is_none_or(|e| e != "log") {
                    fs::remove_file(path).unwrap();
                }
            }
            let partition = open(dir.path());
            prop_assert_eq!(&read(&partition), &after);
            prop_assert_eq!(partition.bounds().end, end);
        }
    }
}

#[test]
fn it_becomes_small_and_its_segments_few() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for i in 0..500u32 {
        append(
            &partition,
            &keyed(&[(i as u8 % 3, Some(i as u8))], 0, (-1, -1, -1), false),
        );
    }
    close_last(&partition);
    let logs = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        entries
            .filter(|e| {
                e.as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|e| e == "log")
            })
            .count()
    };
    let done = partition.clean_if_due(NOW).unwrap().unwrap();
    assert!(done.bytes_after * 10 < done.bytes_before, "{done:?}");
    // The next cleaning merges the segments that are nearly empty now.
    close_last(&partition);
    partition.clean_if_due(NOW).unwrap().unwrap();
    assert!(logs() < 8, "{}", logs());
    assert_eq!(partition.bounds().start, Offset(0));
    // A reader at an offset without a record gets the next one.
    let (bytes, _) = partition.read(Offset(3), 1, true).unwrap();
    assert!(batch::verify(&bytes).unwrap().base_offset > Offset(400));
}

#[test]
fn tombstones_stay_for_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    append(
        &partition,
        &keyed(
            &[(1, Some(1)), (2, Some(2)), (1, None)],
            0,
            (-1, -1, -1),
            false,
        ),
    );
    close_last(&partition);
    let of_key_1 = |at| {
        partition.clean_if_due(at).unwrap();
        let records = read(&partition);
        records.into_iter().filter(|r| r.1 == 1).collect::<Vec<_>>()
    };
    assert_eq!(of_key_1(NOW), [(2, 1, None)]);
    let horizon = {
        let (bytes, _) = partition.read(Offset(0), 1, true).unwrap();
        let header = batch::verify(&bytes).unwrap();
        assert_eq!(header.delete_horizon(), Some(NOW + DAY));
        let records = records::decompress(&header, &bytes).unwrap();
        let found = records::iter(&records).map(|record| {
            let timestamp = header.base_timestamp + record.timestamp_delta;
            (timestamp, record.offset_delta)
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found, [(NOW - DAY + 1, 1), (NOW - DAY + 2, 2)]);
        NOW + DAY
    };
    close_last(&partition);
    assert_eq!(of_key_1(horizon - 1), [(2, 1, None)]);
    close_last(&partition);
    assert_eq!(of_key_1(horizon), []);
}

#[test]
fn transactions_are_left_alone_until_they_end_and_aborted_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let producer = |id| Producer {
        id: ProducerId(id),
        epoch: 0,
    };
    let send = |id: i64, value| {
        partition.begin_transaction(producer(id));
        append(
            &partition,
            &keyed(&[(1, Some(value))], 0, (id, 0, i32::from(value)), true),
        );
    };
    send(1, 0);
    partition
        .end_transaction(producer(1), Outcome::Commit)
        .unwrap();
    send(2, 0);
    partition
        .end_transaction(producer(2), Outcome::Abort)
        .unwrap();
    send(3, 0);
    close_last(&partition);
    assert!(partition.clean_if_due(NOW).unwrap().is_none());
    partition
        .end_transaction(producer(3), Outcome::Commit)
        .unwrap();
    close_last(&partition);
    partition.clean_if_due(NOW).unwrap().unwrap();
    let of_key_1: Vec<_> = read(&partition).into_iter().filter(|r| r.1 == 1).collect();
    assert_eq!(of_key_1, [(4, 1, Some(0))]);
    drop(partition);
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let bounds = open(dir.path()).bounds();
    assert_eq!(bounds.stable, bounds.end);
}

#[test]
fn a_kill_at_any_step_leaves_all_or_the_one() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for i in 0..60u8 {
        append(
            &partition,
            &keyed(&[(i % 2, Some(i))], 0, (-1, -1, -1), false),
        );
    }
    close_last(&partition);
    partition.seal().unwrap();
    let expected = newest(&read(&partition));
    let plan = partition.state.lock().plan_cleaning(NOW).unwrap();
    let newest_offsets = OffsetMap::build(&plan).unwrap();
    let rewrite = SegmentRewriter::new(&newest_offsets, &plan.aborted, &plan.config, NOW);
    let group = &plan.sources[..];
    rewrite.write(group).unwrap();
    let swap = SegmentSwap {
        base: group[0].segment.base(),
        next: group[group.len() - 1].next,
    };
    let first = group[0].segment.path().to_owned();
    drop(partition);
    // A kill before the decision: the new file does not count.
    let undecided = copy(dir.path());
    assert_eq!(newest(&read(&open(undecided.path()))), expected);
    assert!(
        !first
            .with_extension(UNFINISHED)
            .starts_with(undecided.path())
    );
    // A kill after the decision, at each of the steps.
    swap.decide(dir.path()).unwrap();
    for step in 0..4 {
        let copied = copy(dir.path());
        let log = copied.path().join(first.file_name().unwrap());
        if step >= 1 {
            fs::remove_file(log.with_extension("index")).unwrap();
        }
        if step >= 2 {
            fs::rename(log.with_extension(UNFINISHED), &log).unwrap();
        }
        if step >= 3 {
            fs::remove_file(
                copied
                    .path()
                    .join(group[1].segment.path().file_name().unwrap()),
            )
            .unwrap();
        }
        let partition = open(copied.path());
        assert_eq!(newest(&read(&partition)), expected, "step {step}");
        assert_eq!(partition.bounds().start, Offset(0));
        assert!(!copied.path().join("swap").exists());
    }
}

#[test]
fn a_record_without_a_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let bytes = sample(&Sample::default());
    let header = RecordBatchHeader::parse(&bytes).unwrap();
    let refused = partition.append(&header, &bytes).unwrap_err();
    assert!(matches!(refused, crate::log::AppendError::Records(_)));
}
