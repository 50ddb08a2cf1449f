//! The records in a batch, decoded as far as cleaning needs it. To check records without decoding them, use
//! [`record_reader`](super::record_reader).
//!
//! A record (Kafka protocol guide, "Record"): length varint, attributes i8, timestamp delta varlong, offset delta
//! varint, key length varint, key, value length varint, value, headers. Varints are zigzag, 7 bits a byte; a length of
//! -1 is null.

use std::{borrow::Cow, ops::ControlFlow};

use crate::record::{
    batch::{HEADER_LEN, RecordBatchHeader},
    compression::{self, MAX_DECOMPRESSED},
    record_reader,
};

/// A record, decoded up to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The bytes of the record, with its length.
    pub(crate) bytes: &'a [u8],
    /// The timestamp, relative to the base timestamp of the batch, in ms.
    pub(crate) timestamp_delta: i64,
    /// The offset, relative to the base offset of the batch.
    pub(crate) offset_delta: i64,
    /// The key; `None` for null.
    pub(crate) key: Option<&'a [u8]>,
    /// The value; `None` for null, which makes the record a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    attributes: u8,
    /// The bytes from the offset delta to the end.
    tail: &'a [u8],
}

impl Record<'_> {
    /// Appends the record to `out` with another timestamp delta.
    pub(crate) fn put_with_delta(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let mut delta = Vec::with_capacity(10);
        put_varint(&mut delta, timestamp_delta);
        put_varint(out, (1 + delta.len() + self.tail.len()) as i64);
        out.push(self.attributes);
        out.extend(delta);
        out.extend(self.tail);
    }
}

/// Returns the uncompressed records of `batch`, which starts with `header`, or `None` if not all of them can be read.
///
/// Batches that were stored by earlier versions may hold anything, because these did not check records.
pub(crate) fn decompress<'a>(header: &RecordBatchHeader, batch: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let bytes = batch.get(HEADER_LEN..).unwrap_or_default();
    let records = compression::decompress(header.codec(), bytes).ok()?;
    let offsets = 0..=header.last_offset_delta;
    let mut fit = true;
    record_reader::read_uncompressed(header.count, &records, |record| {
        fit &= offsets.contains(&record.offset_delta);
        ControlFlow::Continue(())
    })
    .ok()?;
    fit.then_some(records)
}

/// Iterates over uncompressed records. Ends early where the bytes are not valid records.
pub(crate) fn iter(records: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = records;
    std::iter::from_fn(move || next(&mut rest))
}

/// Returns the header with the largest timestamp of the records, if the producer left it out and the records have one.
///
/// Batches that were stored by earlier versions may lack it: some producers send -1.
pub(crate) fn with_known_time(header: &RecordBatchHeader, batch: &[u8]) -> RecordBatchHeader {
    let mut known = *header;
    if header.max_timestamp < 0 && !header.is_control() {
        // The records before a fault count, too.
        let _ = record_reader::read_all(header, batch, MAX_DECOMPRESSED, |record| {
            known.max_timestamp = known.max_timestamp.max(record.timestamp(header));
            ControlFlow::Continue(())
        });
    }
    known
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let whole = *rest;
    let length = usize::try_from(varint(rest)?).ok()?;
    let mut body = rest.get(..length)?;
    *rest = &rest[length..];
    let bytes = &whole[..whole.len() - rest.len()];
    let (&attributes, after) = body.split_first()?;
    body = after;
    let timestamp_delta = varint(&mut body)?;
    let tail = body;
    Some(Record {
        bytes,
        timestamp_delta,
        offset_delta: varint(&mut body)?,
        key: blob(&mut body)?,
        value: blob(&mut body)?,
        attributes,
        tail,
    })
}

/// Reads bytes that follow their length; `Some(None)` is null.
fn blob<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    let blob = bytes.get(..length)?;
    *bytes = &bytes[length..];
    Some(Some(blob))
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

#[cfg(test)]
mod tests {
    use super::{
        super::batch::tests::{Sample, sample},
        *,
    };
    use proptest::prelude::*;

    #[test]
    fn a_missing_time_comes_from_the_records() {
        let batch = sample(&Sample {
            count: 200,
            base_timestamp: 70,
            ..Sample::default()
        });
        let header = RecordBatchHeader::parse(&batch).unwrap();
        assert_eq!(with_known_time(&header, &batch), header);
        let without = RecordBatchHeader {
            max_timestamp: -1,
            ..header
        };
        assert_eq!(with_known_time(&without, &batch).max_timestamp, 269);
        // The records before a fault count.
        let cut = &batch[..batch.len() - 1];
        assert_eq!(with_known_time(&without, cut).max_timestamp, 268);
    }

    #[test]
    fn records_that_do_not_fit_their_header_are_none() {
        let batch = sample(&Sample {
            count: 3,
            ..Sample::default()
        });
        let header = RecordBatchHeader::parse(&batch).unwrap();
        assert!(decompress(&header, &batch).is_some());
        let fewer = RecordBatchHeader { count: 2, ..header };
        let more = RecordBatchHeader { count: 4, ..header };
        let shorter = RecordBatchHeader {
            last_offset_delta: 1,
            ..header
        };
        for wrong in [fewer, more, shorter] {
            assert!(decompress(&wrong, &batch).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_record_with_another_delta_differs_in_nothing_else() {
        let batch = sample(&Sample {
            count: 3,
            ..Sample::default()
        });
        for record in iter(&batch[HEADER_LEN..]) {
            for delta in [record.timestamp_delta, -1, i64::MAX, i64::MIN] {
                let mut bytes = Vec::new();
                record.put_with_delta(delta, &mut bytes);
                let again: Vec<_> = iter(&bytes).collect();
                assert_eq!(again.len(), 1);
                assert_eq!(again[0].timestamp_delta, delta);
                assert_eq!((again[0].key, again[0].value), (record.key, record.value));
                assert_eq!(again[0].offset_delta, record.offset_delta);
                assert_eq!(bytes == record.bytes, delta == record.timestamp_delta);
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_ends_the_walk(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(iter(&garbage).count() <= garbage.len());
        }

        #[test]
        fn varints_read_back(value in any::<i64>()) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(varint(&mut &bytes[..]), Some(value));
        }
    }
}
