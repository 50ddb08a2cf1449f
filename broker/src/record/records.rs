//! A look inside a batch, record by record: as far as finding a time and compacting need. The hot paths never come here.
//!
//! A record (Kafka protocol guide, "Record"): length varint, attributes i8, timestamp delta varlong, offset delta
//! varint, key length varint, key, value length varint, value, headers. Varints are zigzag, 7 bits a byte; a length of
//! -1 is null.

use std::borrow::Cow;
use std::io;

use crate::record::batch::{HEADER_LEN, Header};
use crate::record::compression;
use crate::ids::Offset;

/// A record, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// All of it, its length too.
    pub bytes: &'a [u8],
    /// What the timestamp is behind the batch's base, ms.
    pub timestamp_delta: i64,
    /// What the offset is behind the batch's base.
    pub offset_delta: i64,
    /// `None` for null.
    pub key: Option<&'a [u8]>,
    /// `None` for null: a tombstone.
    pub value: Option<&'a [u8]>,
    attributes: u8,
    /// From the offset delta on.
    tail: &'a [u8],
}

impl Record<'_> {
    /// Whether there is a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Appends it to `out` with another timestamp delta.
    pub fn put_with_delta(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let mut delta = Vec::with_capacity(10);
        put_varint(&mut delta, timestamp_delta);
        put_varint(out, (1 + delta.len() + self.tail.len()) as i64);
        out.push(self.attributes);
        out.extend(delta);
        out.extend(self.tail);
    }
}

/// The records of `batch`, which starts with `header`, not compressed.
///
/// # Errors
///
/// What [`compression::unfold`] says.
pub fn unfold<'a>(header: &Header, batch: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
    compression::unfold(header.codec(), batch.get(HEADER_LEN..).unwrap_or_default())
}

/// Each record of what [`unfold`] gave. It ends early where the bytes are no records, for the broker stores what
/// producers send without decoding it.
pub fn iterate(records: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = records;
    std::iter::from_fn(move || next(&mut rest))
}

/// The timestamp (ms) and offset of each record.
pub fn stamps(header: &Header, records: &[u8]) -> impl Iterator<Item = (i64, Offset)> {
    let header = *header;
    iterate(records).map_while(move |record| {
        let offset = header.base_offset.0.checked_add(record.offset_delta)?;
        let timestamp = match header.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.checked_add(record.timestamp_delta)?,
        };
        Some((timestamp, Offset(offset)))
    })
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

/// Bytes behind their length; `Some(None)` for null.
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
    use super::super::batch::tests::{Sample, sample};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_record_has_its_offset_and_time() {
        let batch = sample(&Sample {
            base_offset: 5,
            count: 200,
            base_timestamp: 70,
            ..Sample::default()
        });
        let header = Header::parse(&batch).unwrap();
        let records = unfold(&header, &batch).unwrap();
        let stamps: Vec<_> = stamps(&header, &records).collect();
        let expected: Vec<_> = (0..200).map(|i| (70 + i, Offset(5 + i))).collect();
        assert_eq!(stamps, expected);
    }

    #[test]
    fn a_record_with_another_delta_differs_in_nothing_else() {
        let batch = sample(&Sample {
            count: 3,
            ..Sample::default()
        });
        for record in iterate(&batch[HEADER_LEN..]) {
            for delta in [record.timestamp_delta, -1, i64::MAX, i64::MIN] {
                let mut bytes = Vec::new();
                record.put_with_delta(delta, &mut bytes);
                let again: Vec<_> = iterate(&bytes).collect();
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
            prop_assert!(iterate(&garbage).count() <= garbage.len());
        }

        #[test]
        fn varints_read_back(value in any::<i64>()) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(varint(&mut &bytes[..]), Some(value));
        }
    }
}
