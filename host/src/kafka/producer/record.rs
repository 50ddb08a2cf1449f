//! Records as librdkafka takes them, and their size.

use rdkafka::producer::FutureRecord;

use crate::{
    event::{Header, RecordRef, Timestamp},
    kafka::native::HeaderList,
};

/// Most bytes that a record takes in a batch besides its key, value and headers: attributes, and numbers of variable
/// length.
pub(super) const RECORD_OVERHEAD: usize = 36;

/// Most bytes that a header takes besides its name and value.
const HEADER_OVERHEAD: usize = 10;

/// Most bytes that a batch takes besides its records.
pub(super) const BATCH_OVERHEAD: usize = 61;

/// Converts a record, with `more` headers after its own.
pub(super) fn to_kafka<'r, 'h>(
    topic: &'r str,
    record: &RecordRef<'r>,
    more: impl IntoIterator<Item = Header<'h>>,
) -> FutureRecord<'r, [u8], [u8]> {
    let mut converted = FutureRecord::to(topic);
    converted.key = record.key;
    converted.payload = record.value;
    converted.timestamp = (record.timestamp != Timestamp::NONE).then_some(record.timestamp.0);
    let mut headers = HeaderList::default();
    record
        .headers
        .clone()
        .for_each(|header| headers.push(header));
    more.into_iter().for_each(|header| headers.push(header));
    converted.headers = headers.into_inner();
    converted
}

/// Returns the most bytes that a record with these `more` headers takes in a batch.
pub(super) fn size_in_batch<'h>(
    record: &RecordRef<'_>,
    more: impl IntoIterator<Item = Header<'h>>,
) -> usize {
    RECORD_OVERHEAD + content_size(record, more, HEADER_OVERHEAD)
}

/// Returns bytes that a batch with this record, with these `more` headers, has at least if it is not compressed.
pub(super) fn min_batch_size<'h>(
    record: &RecordRef<'_>,
    more: impl IntoIterator<Item = Header<'h>>,
) -> usize {
    BATCH_OVERHEAD + content_size(record, more, 0)
}

/// Returns the bytes of the key, the value and the headers, with `overhead` for each header.
fn content_size<'h>(
    record: &RecordRef<'_>,
    more: impl IntoIterator<Item = Header<'h>>,
    overhead: usize,
) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let of_header = |header: Header<'_>| overhead + header.name.len() + length(header.value);
    let own: usize = record.headers.clone().map(of_header).sum();
    let more: usize = more.into_iter().map(of_header).sum();
    length(record.key) + length(record.value) + own + more
}
