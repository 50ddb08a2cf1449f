//! What a broker checks in a batch before it stores it: the records must be what the header promises, in every codec, and
//! fit the settings of their topic. Consumers stop for ever at a batch that they cannot read.

use eventos_testkit::raw::{OF_MAX_TIME, UNCOMMITTED, Verdict, now, verdict};
use kafka_protocol::error::ResponseError;

use super::{
    on_both,
    subject::{Settings, Subject},
};
use crate::crafted::{
    Crafted, Fields, GZIP, LOG_APPEND_TIME, LZ4, NONE, SNAPPY, ZSTD, compress, record,
};

const CODECS: [i16; 5] = [NONE, GZIP, SNAPPY, LZ4, ZSTD];
const DAY: i64 = 86_400_000;

/// A batch and what is wrong with it.
type Case = (&'static str, Crafted);

/// Produces each batch to a topic with these settings. Returns for each what is wrong with it and the verdict, and how many
/// records the topic has then.
fn verdicts(
    subject: &Subject,
    settings: Settings<'_>,
    cases: Vec<Case>,
) -> (Vec<(&'static str, Verdict)>, i64) {
    let topic = subject.topic_with(1, &[settings, &[("retention.ms", "-1")]].concat());
    let mut raw = subject.raw();
    let verdicts = cases
        .iter()
        .map(|(what, batch)| (*what, raw.produce(&topic, 0, batch.bytes()).0));
    (verdicts.collect(), subject.watermarks(&topic, 0).1)
}

/// Returns what [`verdicts`] has to return if none of the batches is stored.
fn all_refused(cases: &[Case], error: ResponseError) -> (Vec<(&'static str, Verdict)>, i64) {
    let refused = cases.iter().map(|(what, _)| (*what, Some(error)));
    (refused.collect(), 0)
}

/// Returns a record at the base timestamp of its batch plus `time_delta`.
fn at(offset_delta: i64, time_delta: i64, key: Option<&[u8]>) -> Vec<u8> {
    record(Fields {
        time_delta,
        offset_delta,
        key,
        value: b"v",
    })
}

/// Returns `count` records with keys.
fn records(count: i64) -> Vec<u8> {
    (0..count).flat_map(|i| at(i, 0, Some(b"k"))).collect()
}

/// Returns a record without a key and with the value "v", which these bytes follow.
fn with_tail(tail: &[u8]) -> Vec<u8> {
    let body = [&[0, 0, 0, 1, 2, b'v'], tail].concat();
    [&[2 * body.len() as u8], &body[..]].concat()
}

/// Returns batches of one codec whose records are not as the header and the format say.
fn malformed(codec: i16) -> Vec<Case> {
    let batch = |count, records: &[u8]| Crafted::new(codec, count, records);
    let one_record = batch(1, &records(1));
    vec![
        ("bytes that are no records", batch(3, &[0; 40])),
        ("fewer records than promised", batch(4, &records(3))),
        ("more records than promised", batch(2, &records(3))),
        (
            "a byte after the records",
            batch(3, &[&records(3)[..], &[0]].concat()),
        ),
        ("a negative number of headers", batch(1, &with_tail(&[1]))),
        ("headers that are not there", batch(1, &with_tail(&[10]))),
        ("a header without a name", batch(1, &with_tail(&[2, 1, 0]))),
        (
            "a negative count",
            Crafted {
                count: -1,
                ..one_record.clone()
            },
        ),
        ("no records", batch(0, &[])),
        (
            "other offsets than records",
            Crafted {
                last_offset_delta: 3,
                ..one_record.clone()
            },
        ),
        (
            "a base offset",
            Crafted {
                base_offset: 7,
                ..one_record
            },
        ),
    ]
}

#[test]
fn records_that_are_not_what_the_header_promises_are_refused_in_every_codec() {
    let all: Vec<Case> = CODECS.into_iter().flat_map(malformed).collect();
    on_both(|subject| verdicts(subject, &[], all.clone()))
        .agree_on(all_refused(&all, ResponseError::InvalidRecord));
}

#[test]
fn records_in_any_form_that_can_be_read_are_taken_in_every_codec() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut raw = subject.raw();
        CODECS.map(|codec| {
            let payload = |count, records: &[u8]| Crafted::new(codec, count, records);
            let key_of_minus_5 = [14, 0, 0, 0, 9, 2, b'v', 0];
            let long_numbers = [18, 0, 0x80, 0, 0x80, 0, 1, 2, b'v', 0];
            let odd_attributes = [14, 7, 0, 0, 1, 2, b'v', 0];
            [
                payload(3, &records(3)),
                payload(1, &with_tail(&[2, 2, b'h', 1])),
                payload(1, &with_tail(&[2, 2, 0xff, 1])),
                payload(1, &key_of_minus_5),
                payload(1, &long_numbers),
                payload(1, &odd_attributes),
            ]
            .map(|batch| raw.produce(&topic, 0, batch.bytes()).0)
        })
    })
    .agree_on([[None; 6]; 5]);
}

/// Returns the errors of the records in the response to a batch, and the code of the whole.
fn record_errors(subject: &Subject, topic: &str, batch: &Crafted) -> (Verdict, Vec<i32>) {
    let mut raw = subject.raw();
    let answer = raw.produce_with(-1, None, topic, 0, batch.bytes());
    let indexes = answer.record_errors.iter().map(|r| r.batch_index);
    (verdict(answer.error_code), indexes.collect())
}

#[test]
fn the_timestamp_of_each_record_counts_and_not_only_that_of_the_header() {
    let future = [at(0, 0, None), at(1, 30 * DAY, None), at(2, 0, None)].concat();
    let past = [at(0, -2 * DAY, None), at(1, 0, None), at(2, -2 * DAY, None)].concat();
    on_both(|subject| {
        let usual = subject.topic(1);
        let narrow = subject.topic_with(1, &[("message.timestamp.before.max.ms", "86400000")]);
        CODECS.map(|codec| {
            [
                record_errors(subject, &usual, &Crafted::new(codec, 3, &future)),
                record_errors(subject, &narrow, &Crafted::new(codec, 3, &past)),
            ]
        })
    })
    .agree_on(CODECS.map(|_| {
        [
            (Some(ResponseError::InvalidTimestamp), vec![1]),
            (Some(ResponseError::InvalidTimestamp), vec![0, 2]),
        ]
    }));
}

#[test]
fn negative_timestamps_are_none_only_at_minus_1() {
    on_both(|subject| {
        let usual = subject.topic_with(1, &[("retention.ms", "-1")]);
        let narrow = subject.topic_with(1, &[("message.timestamp.before.max.ms", "86400000")]);
        let batch = |delta| Crafted {
            base_timestamp: 0,
            max_timestamp: 0,
            ..Crafted::new(NONE, 1, &at(0, delta, None))
        };
        [
            record_errors(subject, &usual, &batch(-2)),
            record_errors(subject, &narrow, &batch(-2)),
            record_errors(subject, &narrow, &batch(-1)),
        ]
    })
    .agree_on([
        (None, vec![]),
        (Some(ResponseError::InvalidTimestamp), vec![0]),
        (None, vec![]),
    ]);
}

#[test]
fn records_without_a_key_are_named_and_a_wrong_time_weighs_more() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("cleanup.policy", "compact")]);
        CODECS.map(|codec| {
            let keyless = [at(0, 0, Some(b"k")), at(1, 0, None), at(2, 0, None)].concat();
            let late_too = [at(0, 0, None), at(1, 30 * DAY, Some(b"k"))].concat();
            [
                record_errors(subject, &topic, &Crafted::new(codec, 3, &keyless)),
                record_errors(subject, &topic, &Crafted::new(codec, 2, &late_too)),
            ]
        })
    })
    .agree_on(CODECS.map(|_| {
        [
            (Some(ResponseError::InvalidRecord), vec![1, 2]),
            (Some(ResponseError::InvalidTimestamp), vec![0, 1]),
        ]
    }));
}

#[test]
fn a_mark_of_log_append_time_is_removed_or_refused() {
    on_both(|subject| {
        let (usual, stamped) = (
            subject.topic(1),
            subject.topic_with(1, &[("message.timestamp.type", "LogAppendTime")]),
        );
        let marked = Crafted {
            attributes: LOG_APPEND_TIME,
            ..Crafted::new(NONE, 1, &at(0, 0, None))
        };
        let without_time = Crafted {
            max_timestamp: -1,
            ..marked.clone()
        };
        let verdicts = [
            record_errors(subject, &usual, &marked),
            record_errors(subject, &usual, &without_time),
            record_errors(subject, &stamped, &marked),
        ];
        let stored = subject.raw().fetch(&usual, 0, 0, UNCOMMITTED).records;
        let attributes = stored.map(|stored| stored[22]);
        (verdicts, attributes)
    })
    .agree_on((
        [
            (None, vec![]),
            (Some(ResponseError::InvalidTimestamp), vec![0]),
            (Some(ResponseError::InvalidTimestamp), vec![0]),
        ],
        Some(0),
    ));
}

/// Returns the largest timestamp in the header of the stored batch.
fn stored_max(subject: &Subject, topic: &str) -> Option<i64> {
    let stored = subject.raw().fetch(topic, 0, 0, UNCOMMITTED).records?;
    let field = stored.get(35..43)?.try_into().ok()?;
    Some(i64::from_be_bytes(field))
}

#[test]
fn the_header_gets_the_largest_timestamp_of_the_records() {
    on_both(|subject| {
        CODECS.map(|codec| {
            let base = now() - DAY;
            let all = [at(0, 5, None), at(1, 70, None), at(2, 6, None)].concat();
            [-1, base + 7_000_000, base + 70].map(|claimed| {
                let topic = subject.topic(1);
                let batch = Crafted {
                    base_timestamp: base,
                    max_timestamp: claimed,
                    ..Crafted::new(codec, 3, &all)
                };
                let mut raw = subject.raw();
                let refused = raw.produce(&topic, 0, batch.bytes()).0;
                let found = [base + 6, base + 71, OF_MAX_TIME].map(|time| {
                    let (error, offset, time) = raw.list_offset(&topic, 0, time, UNCOMMITTED);
                    (error, offset, time.max(base - 1) - base)
                });
                let stored = stored_max(subject, &topic).map(|max| max - base);
                (refused, stored, found)
            })
        })
    })
    .agree_on(
        [[(
            None,
            Some(70),
            [(None, 1, 70), (None, -1, -1), (None, 1, 70)],
        ); 3]; 5],
    );
}

#[test]
fn records_without_any_time_are_kept_and_found_by_no_time() {
    on_both(|subject| {
        // Kafka and the built-in broker look for expired segments after 100 ms and 2 s.
        let topic = subject.topic_with(1, &[("retention.ms", "3600000")]);
        let batch = Crafted {
            base_timestamp: -1,
            max_timestamp: -1,
            ..Crafted::new(NONE, 1, &at(0, 0, None))
        };
        let mut raw = subject.raw();
        let refused = raw.produce(&topic, 0, batch.bytes()).0;
        let found = [0, now(), OF_MAX_TIME].map(|time| raw.list_offset(&topic, 0, time, 0));
        (refused, stored_max(subject, &topic), found)
    })
    .agree_on((
        None,
        Some(-1),
        [(None, -1, -1), (None, -1, -1), (None, 0, -1)],
    ));
}

/// Returns batches that Kafka stores or whose refusal it calls UNKNOWN_SERVER_ERROR, for a compressed codec.
fn undecodable(codec: i16) -> Vec<Case> {
    let whole = compress(codec, &records(30));
    let payload = |count, payload: &[u8]| Crafted::with_payload(codec, count, payload.to_vec());
    vec![
        (
            "bytes of no codec",
            payload(3, b"bytes that no codec writes at all"),
        ),
        (
            "compressed bytes cut short",
            payload(30, &whole[..whole.len() - 5]),
        ),
    ]
}

#[test]
fn what_cannot_be_decompressed_is_an_invalid_record() {
    let compressed = [GZIP, SNAPPY, LZ4, ZSTD].into_iter();
    let all: Vec<Case> = compressed.flat_map(undecodable).collect();
    on_both(|subject| verdicts(subject, &[], all.clone())).differ(
        all_refused(&all, ResponseError::UnknownServerError),
        all_refused(&all, ResponseError::InvalidRecord),
    );
}

#[test]
fn nothing_may_follow_compressed_records() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut raw = subject.raw();
        [GZIP, LZ4, SNAPPY, ZSTD].map(|codec| {
            let payload = [&compress(codec, &records(3))[..], b"more bytes"].concat();
            let batch = Crafted::with_payload(codec, 3, payload);
            raw.produce(&topic, 0, batch.bytes()).0
        })
    })
    .differ(
        [
            None,
            None,
            Some(ResponseError::UnknownServerError),
            Some(ResponseError::UnknownServerError),
        ],
        [Some(ResponseError::InvalidRecord); 4],
    );
}

#[test]
fn offsets_that_do_not_count_up_are_always_refused() {
    let apart = [at(0, 0, None), at(5, 0, None)].concat();
    let backwards = [at(1, 0, None), at(0, 0, None)].concat();
    on_both(|subject| {
        [NONE, GZIP, ZSTD].map(|codec| {
            let batches = [&apart, &backwards].map(|records| Crafted::new(codec, 2, records));
            let topic = subject.topic(1);
            let mut raw = subject.raw();
            batches.map(|batch| raw.produce(&topic, 0, batch.bytes()).0)
        })
    })
    .differ(
        [
            [None; 2],
            [Some(ResponseError::UnknownServerError); 2],
            [Some(ResponseError::UnknownServerError); 2],
        ],
        [[Some(ResponseError::InvalidRecord); 2]; 3],
    );
}

#[test]
fn lengths_of_compressed_records_have_to_be_right() {
    let wrong = |by: i8| {
        let mut record = with_tail(&[0]);
        record[0] = record[0].wrapping_add_signed(2 * by);
        record
    };
    on_both(|subject| {
        [NONE, GZIP].map(|codec| {
            let topic = subject.topic(1);
            let mut raw = subject.raw();
            [1, -1].map(|by| {
                let batch = Crafted::new(codec, 1, &wrong(by));
                raw.produce(&topic, 0, batch.bytes()).0
            })
        })
    })
    .differ(
        [[Some(ResponseError::InvalidRecord); 2], [None; 2]],
        [[Some(ResponseError::InvalidRecord); 2]; 2],
    );
}

#[test]
fn a_batch_that_inflates_beyond_measure_is_too_large() {
    let value = vec![0; 11 << 20];
    let large = record(Fields {
        time_delta: 0,
        offset_delta: 0,
        key: None,
        value: &value,
    });
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("max.message.bytes", "100000")]);
        let mut raw = subject.raw();
        // Snappy cannot make this of 100,000 bytes.
        [GZIP, LZ4, ZSTD].map(|codec| {
            let batch = Crafted::new(codec, 1, &large);
            raw.produce(&topic, 0, batch.bytes()).0
        })
    })
    .differ([None; 3], [Some(ResponseError::MessageTooLarge); 3]);
}
