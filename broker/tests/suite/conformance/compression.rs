//! Batches stay compressed as their producer sent them, and every codec can be read.

use eventos_testkit::raw::{Raw, UNCOMMITTED};
use kafka_protocol::records::{Compression, RecordBatchDecoder};
use rdkafka::Offset;

use super::{
    on_both,
    subject::{Subject, texts},
};

/// Returns the codec and the number of records of each batch in a partition.
pub(super) fn batches(raw: &mut Raw, topic: &str) -> Vec<(Compression, i32)> {
    let fetched = raw.fetch(topic, 0, 0, UNCOMMITTED);
    let mut records = fetched.records.expect("records");
    let batches = RecordBatchDecoder::decode_batch_info(&mut records).expect("batches");
    let all = batches.iter().map(|b| (b.compression, b.record_count));
    all.collect()
}

/// Creates a topic with one batch in this codec.
fn filled(subject: &Subject, codec: &str) -> String {
    let topic = subject.topic(1);
    // Long enough to get all messages into one batch, even on a busy machine.
    let producer = subject.producer(&[("compression.type", codec), ("linger.ms", "500")]);
    subject.send_all(&producer, &topic, 0, &TEXTS);
    topic
}

/// Returns text that compresses well: librdkafka does not compress what would not get smaller.
const TEXTS: [&str; 4] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 2",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 3",
];

/// Checks that a batch in this codec can be read from its start and from its middle, and is stored as it was sent.
fn round_trip(codec: &str, expected: Compression) {
    on_both(|subject| {
        let topic = filled(subject, codec);
        let all = subject.read(&topic, 0, "read_committed");
        let rest = subject.read_from(&topic, 0, Offset::Offset(2), &[]);
        (
            batches(&mut subject.raw(), &topic),
            texts(&all) == TEXTS,
            texts(&rest.expect("read")) == TEXTS[2..],
        )
    })
    .agree_on((vec![(expected, 4)], true, true));
}

#[test]
fn uncompressed() {
    round_trip("none", Compression::None);
}

#[test]
fn gzip() {
    round_trip("gzip", Compression::Gzip);
}

#[test]
fn snappy() {
    round_trip("snappy", Compression::Snappy);
}

#[test]
fn lz4() {
    round_trip("lz4", Compression::Lz4);
}

#[test]
fn zstd() {
    round_trip("zstd", Compression::Zstd);
}
