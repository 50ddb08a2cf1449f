use super::*;
use crate::record::batch::tests::{Sample, sample};

const NOW: i64 = 1_000_000_000;

/// Returns the result for a batch of three keyless records at `NOW`, `NOW + 1` and `NOW + 2`.
fn check_with(
    config: &LogConfig,
    change: impl FnOnce(&mut RecordBatchHeader),
) -> Result<i64, AppendError> {
    let batch = sample(&Sample {
        count: 3,
        base_timestamp: NOW,
        ..Sample::default()
    });
    let mut header = RecordBatchHeader::parse(&batch).unwrap();
    change(&mut header);
    check(config, &header, &batch, NOW)
}

fn refused(result: Result<i64, AppendError>) -> (bool, Vec<i32>) {
    match result {
        Err(AppendError::Records(refused)) => {
            let indexes = refused.records.iter().map(|(index, _)| *index);
            (refused.has_timestamp, indexes.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_largest_timestamp_is_that_of_the_records() {
    let config = LogConfig::default();
    for claimed in [-1, NOW, i64::MAX] {
        let found = check_with(&config, |header| header.max_timestamp = claimed);
        assert_eq!(found.unwrap(), NOW + 2);
    }
    let without = check_with(&config, |header| header.base_timestamp = -3);
    assert_eq!(without.unwrap(), NO_TIMESTAMP);
}

#[test]
fn every_record_outside_the_range_is_listed() {
    let hour_ago = |header: &mut RecordBatchHeader| header.base_timestamp = NOW - 3_600_001;
    let config = LogConfig {
        timestamp_before_max_ms: 3_600_000,
        ..LogConfig::default()
    };
    assert_eq!(refused(check_with(&config, hour_ago)), (true, vec![0]));
    assert!(check_with(&LogConfig::default(), hour_ago).is_ok());
    let ahead = |header: &mut RecordBatchHeader| header.base_timestamp = NOW + 3_599_999;
    assert_eq!(refused(check_with(&config, ahead)), (true, vec![2]));
    let with_broker_time = LogConfig {
        timestamps: Timestamps::LogAppendTime,
        ..config
    };
    assert!(check_with(&with_broker_time, ahead).is_ok());
}

#[test]
fn a_mark_of_log_append_time_needs_a_time_and_a_topic_of_producers_times() {
    const MARK: i16 = 8;
    let marked = |header: &mut RecordBatchHeader| header.attributes |= MARK;
    let config = LogConfig::default();
    assert_eq!(check_with(&config, marked).unwrap(), NOW + 2);
    let without_time = |header: &mut RecordBatchHeader| {
        header.attributes |= MARK;
        header.max_timestamp = NO_TIMESTAMP;
    };
    let all = (true, vec![0, 1, 2]);
    assert_eq!(refused(check_with(&config, without_time)), all);
    let with_broker_time = LogConfig {
        timestamps: Timestamps::LogAppendTime,
        ..config
    };
    assert_eq!(refused(check_with(&with_broker_time, marked)), all);
}

#[test]
fn a_compacted_topic_lists_the_records_without_a_key() {
    let config = LogConfig {
        compact: true,
        ..LogConfig::default()
    };
    let result = check_with(&config, |_| {});
    assert_eq!(refused(result), (false, vec![0, 1, 2]));
}

#[test]
fn a_long_list_is_cut() {
    let batch = sample(&Sample {
        count: 20_000,
        base_timestamp: NOW,
        value_len: 0,
        ..Sample::default()
    });
    let header = RecordBatchHeader::parse(&batch).unwrap();
    let config = LogConfig {
        compact: true,
        ..LogConfig::default()
    };
    let (_, indexes) = refused(check(&config, &header, &batch, NOW));
    assert_eq!(indexes.len(), MAX_LISTED);
}
