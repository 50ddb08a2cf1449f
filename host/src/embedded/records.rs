//! A look inside an uncompressed batch, record by record: only as far as finding an offset by timestamp needs.
//!
//! A record (Kafka protocol guide, "Record"): length varint, attributes i8, timestamp delta varlong, offset delta
//! varint, then key, value and headers, which are skipped by the length. Varints are zigzag, 7 bits a byte. The hot
//! paths never come here.

use super::batch::{HEADER_LEN, Header};
use super::ids::Offset;

/// The timestamp (ms) and offset of each record of `batch`, which starts with `header`.
///
/// `None` for a compressed batch. The iterator ends early where the bytes are no records, for the broker stores what
/// producers send without decoding it.
pub fn stamps(header: &Header, batch: &[u8]) -> Option<impl Iterator<Item = (i64, Offset)>> {
    if header.codec() != 0 {
        return None;
    }
    let (base_timestamp, base_offset) = (header.base_timestamp, header.base_offset.0);
    let mut rest = batch.get(HEADER_LEN..).unwrap_or_default();
    Some(std::iter::from_fn(move || {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let mut record = rest.get(..length)?;
        rest = &rest[length..];
        record = record.get(1..)?;
        let timestamp = base_timestamp.checked_add(varint(&mut record)?)?;
        let offset = base_offset.checked_add(varint(&mut record)?)?;
        Some((timestamp, Offset(offset)))
    }))
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
        let stamps: Vec<_> = stamps(&header, &batch).unwrap().collect();
        let expected: Vec<_> = (0..200).map(|i| (70 + i, Offset(5 + i))).collect();
        assert_eq!(stamps, expected);
    }

    proptest! {
        #[test]
        fn garbage_ends_the_walk(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut batch = sample(&Sample::default());
            batch.truncate(HEADER_LEN);
            batch.extend(garbage);
            let header = Header::parse(&batch).unwrap();
            prop_assert!(stamps(&header, &batch).unwrap().count() <= batch.len());
        }
    }
}
