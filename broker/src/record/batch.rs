//! The header of a record batch, format v2: the fields that the broker reads, and the two that it writes.
//!
//! Layout (Kafka protocol guide, "Record Batch"; all integers big-endian):
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | base offset | set by the broker |
//! | 8..12 | batch length | bytes that follow this field |
//! | 12..16 | partition leader epoch | set by the broker |
//! | 16 | magic | 2 |
//! | 17..21 | crc | CRC-32C of everything from byte 21 to the end |
//! | 21..23 | attributes | bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23..27 | last offset delta | |
//! | 27..35 | base timestamp | ms |
//! | 35..43 | max timestamp | ms |
//! | 43..51 | producer id | -1: not idempotent |
//! | 51..53 | producer epoch | |
//! | 53..57 | base sequence | |
//! | 57..61 | records count | |
//!
//! Because the CRC starts at byte 21, the broker can store a batch as it came and only patch the offset and the epoch.

use std::borrow::Cow;

use crate::ids::{Offset, Producer, ProducerId};

/// Length of a header; no batch is shorter.
pub(crate) const HEADER_LEN: usize = 61;
/// Length of the fields before the bytes that "batch length" counts.
pub(crate) const LENGTH_PREFIX: usize = 12;
/// Length of the part that the broker rewrites: everything before the magic byte.
pub(crate) const PATCHED_LEN: usize = 16;
/// The only record format that the broker stores.
pub(crate) const MAGIC: i8 = 2;
/// The leader epoch of every partition: with one node, the leader never changes.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// The timestamp of a record, or the largest one of a batch, that has none.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// Attribute of a batch whose timestamp is the time of the append.
const LOG_APPEND_TIME: i16 = 0b1000;
/// Attribute of a batch whose base timestamp is the time from which cleaning may drop its tombstones.
pub(crate) const DELETE_HORIZON: i16 = 0b100_0000;

/// Position of the first byte that the CRC covers.
pub(crate) const CRC_START: usize = 21;

/// The decoded header of a record batch. The table of this module describes the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordBatchHeader {
    /// The offset of the first record.
    pub(crate) base_offset: Offset,
    /// Size of the whole batch in bytes, with the length prefix.
    pub(crate) size: usize,
    /// The CRC-32C that the producer computed.
    pub(crate) crc: u32,
    /// The attribute bits.
    pub(crate) attributes: i16,
    /// The offset of the last record minus the base offset.
    pub(crate) last_offset_delta: i32,
    /// The timestamp that the deltas of the records are relative to, in ms.
    pub(crate) base_timestamp: i64,
    /// The largest timestamp in the batch, in ms.
    pub(crate) max_timestamp: i64,
    /// The id of the producer, if it is idempotent.
    pub(crate) producer_id: Option<ProducerId>,
    /// The epoch of the producer.
    pub(crate) producer_epoch: i16,
    /// The sequence number of the first record.
    pub(crate) base_sequence: i32,
    /// The number of records, according to the producer.
    pub(crate) count: i32,
}

/// The reason why bytes are not a batch that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidBatch {
    /// There are fewer bytes than a header has, or than the header says.
    #[error("{have} bytes instead of a batch of {need} bytes")]
    Truncated {
        /// Number of bytes present.
        have: usize,
        /// Number of bytes needed.
        need: usize,
    },
    /// The length field has an impossible value.
    #[error("impossible batch length {0}")]
    Length(i32),
    /// The format is older than v2, or the bytes are not a batch at all.
    #[error("record format v{0} is not supported; use v2, which clients write since Kafka 0.11")]
    Magic(i8),
    /// The bytes are not those that the producer wrote.
    #[error("CRC-32C is {computed:08x}, but the header says {stored:08x}")]
    Crc {
        /// The CRC in the header.
        stored: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
    /// The record count or the last offset delta is negative.
    #[error("{count} records with a last offset delta of {last_offset_delta}")]
    Count {
        /// The record count.
        count: i32,
        /// The last offset delta.
        last_offset_delta: i32,
    },
}

impl RecordBatchHeader {
    /// Decodes the header at the start of `bytes`, which may hold less or more than the whole batch.
    ///
    /// Checks length, magic and count, but not the CRC; for that see [`verify`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<RecordBatchHeader, InvalidBatch> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(InvalidBatch::Truncated {
                have: bytes.len(),
                need: HEADER_LEN,
            });
        };
        let magic = header[16] as i8;
        if magic != MAGIC {
            return Err(InvalidBatch::Magic(magic));
        }
        let length = i32::from_be_bytes(field(header, 8));
        let size =
            usize::try_from(length).map_err(|_| InvalidBatch::Length(length))? + LENGTH_PREFIX;
        if size < HEADER_LEN {
            return Err(InvalidBatch::Length(length));
        }
        let producer_id = i64::from_be_bytes(field(header, 43));
        let parsed = RecordBatchHeader {
            base_offset: Offset(i64::from_be_bytes(field(header, 0))),
            size,
            crc: u32::from_be_bytes(field(header, 17)),
            attributes: i16::from_be_bytes(field(header, 21)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: (producer_id >= 0).then_some(ProducerId(producer_id)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            count: i32::from_be_bytes(field(header, 57)),
        };
        if parsed.last_offset_delta < 0 || parsed.count < 0 {
            return Err(InvalidBatch::Count {
                count: parsed.count,
                last_offset_delta: parsed.last_offset_delta,
            });
        }
        Ok(parsed)
    }

    /// Returns the offset of the last record.
    pub(crate) fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .saturating_add(i64::from(self.last_offset_delta)),
        )
    }

    /// Returns the offset after the last record.
    pub(crate) fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Returns id and epoch of the producer, if it is idempotent.
    pub(crate) fn producer(&self) -> Option<Producer> {
        self.producer_id.map(|id| Producer {
            id,
            epoch: self.producer_epoch,
        })
    }

    /// Returns the codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are unused.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & 0b111
    }

    /// Returns whether the timestamp of the records is the time of the append.
    pub(crate) fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Returns whether the batch belongs to a transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & 0b1_0000 != 0
    }

    /// Returns the time (ms) from which cleaning may drop the tombstones of the batch, once a cleaning has set it.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Returns whether this is a control batch, which only coordinators write.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & 0b10_0000 != 0
    }
}

/// Decodes the header of `batch`, which must be exactly one batch, and checks its CRC.
pub(crate) fn verify(batch: &[u8]) -> Result<RecordBatchHeader, InvalidBatch> {
    let header = RecordBatchHeader::parse(batch)?;
    if header.size != batch.len() {
        return Err(InvalidBatch::Truncated {
            have: batch.len(),
            need: header.size,
        });
    }
    let computed = crc32c::crc32c(&batch[CRC_START..]);
    if computed != header.crc {
        return Err(InvalidBatch::Crc {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

/// Returns the first [`PATCHED_LEN`] bytes of `batch` with the base offset and [`LEADER_EPOCH`] filled in.
pub(crate) fn patched_prefix(batch: &[u8], base_offset: Offset) -> [u8; PATCHED_LEN] {
    let mut head = [0; PATCHED_LEN];
    head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    head[8..12].copy_from_slice(&batch[8..12]);
    head[12..].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    head
}

/// Returns the batch with another largest timestamp (ms), and with the mark of `LogAppendTime` or without it (KIP-32).
///
/// Only the header changes; the records stay as they are. A batch that has all this already is not copied.
pub(crate) fn with_max_timestamp<'a>(
    header: &RecordBatchHeader,
    batch: &'a [u8],
    max_timestamp: i64,
    is_log_append_time: bool,
) -> (RecordBatchHeader, Cow<'a, [u8]>) {
    let mut header = *header;
    let attributes = match is_log_append_time {
        true => header.attributes | LOG_APPEND_TIME,
        false => header.attributes & !LOG_APPEND_TIME,
    };
    if (header.attributes, header.max_timestamp) == (attributes, max_timestamp) {
        return (header, Cow::Borrowed(batch));
    }
    let mut batch = batch.to_vec();
    header.attributes = attributes;
    header.max_timestamp = max_timestamp;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    header.crc = write_crc(&mut batch);
    (header, Cow::Owned(batch))
}

/// Computes the CRC of the batch, writes it into the header and returns it.
pub(crate) fn write_crc(batch: &mut [u8]) -> u32 {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    crc
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    *header[at..]
        .first_chunk()
        .expect("every field of the table lies in the header")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields of a batch that tests set.
    pub(crate) struct Sample {
        pub(crate) base_offset: i64,
        pub(crate) count: i32,
        pub(crate) base_timestamp: i64,
        pub(crate) producer: (i64, i16, i32),
        pub(crate) transactional: bool,
        pub(crate) value_len: usize,
    }

    impl Default for Sample {
        fn default() -> Sample {
            Sample {
                base_offset: 0,
                count: 1,
                base_timestamp: 1_000,
                producer: (-1, -1, -1),
                transactional: false,
                value_len: 10,
            }
        }
    }

    /// Returns a valid uncompressed batch whose record `i` has the timestamp `base_timestamp + i`.
    pub(crate) fn sample(sample: &Sample) -> Vec<u8> {
        let mut records = Vec::new();
        for i in 0..sample.count {
            let mut body = vec![0u8];
            varint(&mut body, i64::from(i));
            varint(&mut body, i64::from(i));
            varint(&mut body, -1);
            varint(&mut body, sample.value_len as i64);
            body.extend(std::iter::repeat_n(b'x', sample.value_len));
            varint(&mut body, 0);
            varint(&mut records, body.len() as i64);
            records.extend(body);
        }
        let mut batch = Vec::new();
        batch.extend(sample.base_offset.to_be_bytes());
        batch.extend(((HEADER_LEN - LENGTH_PREFIX + records.len()) as i32).to_be_bytes());
        batch.extend((-1i32).to_be_bytes());
        batch.push(MAGIC as u8);
        batch.extend([0; 4]);
        batch.extend((i16::from(sample.transactional) << 4).to_be_bytes());
        batch.extend((sample.count - 1).to_be_bytes());
        batch.extend(sample.base_timestamp.to_be_bytes());
        batch.extend((sample.base_timestamp + i64::from(sample.count) - 1).to_be_bytes());
        batch.extend(sample.producer.0.to_be_bytes());
        batch.extend(sample.producer.1.to_be_bytes());
        batch.extend(sample.producer.2.to_be_bytes());
        batch.extend(sample.count.to_be_bytes());
        batch.extend(records);
        write_crc(&mut batch);
        batch
    }

    fn varint(out: &mut Vec<u8>, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            out.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        out.push(zigzag as u8);
    }

    #[test]
    fn a_valid_batch_reads_back() {
        let batch = sample(&Sample {
            base_offset: 7,
            count: 3,
            producer: (9, 1, 40),
            ..Sample::default()
        });
        let header = verify(&batch).unwrap();
        assert_eq!(header.base_offset, Offset(7));
        assert_eq!(header.next_offset(), Offset(10));
        assert_eq!(header.producer_id, Some(ProducerId(9)));
        assert_eq!((header.producer_epoch, header.base_sequence), (1, 40));
        assert_eq!(header.max_timestamp, 1_002);
    }

    #[test]
    fn patching_does_not_touch_what_the_crc_covers() {
        let mut batch = sample(&Sample::default());
        let head = patched_prefix(&batch, Offset(1 << 40));
        batch[..PATCHED_LEN].copy_from_slice(&head);
        assert_eq!(verify(&batch).unwrap().base_offset, Offset(1 << 40));
    }

    #[test]
    fn older_formats_and_impossible_lengths_are_named() {
        let mut batch = sample(&Sample::default());
        batch[16] = 1;
        assert_eq!(
            RecordBatchHeader::parse(&batch),
            Err(InvalidBatch::Magic(1))
        );
        let mut batch = sample(&Sample::default());
        batch[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(
            RecordBatchHeader::parse(&batch),
            Err(InvalidBatch::Length(-1))
        );
        batch[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(
            RecordBatchHeader::parse(&batch),
            Err(InvalidBatch::Length(48))
        );
        batch[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(matches!(
            verify(&batch),
            Err(InvalidBatch::Truncated { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RecordBatchHeader::parse(&bytes);
            let _ = verify(&bytes);
        }

        #[test]
        fn any_flipped_bit_that_matters_is_found(count in 1..5i32, at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut batch = sample(&Sample { count, ..Sample::default() });
            let at = at.index(batch.len());
            batch[at] ^= 1 << bit;
            // The broker sets base offset and leader epoch, so the CRC does not cover them.
            let free = at < 8 || (12..PATCHED_LEN).contains(&at);
            prop_assert_eq!(verify(&batch).is_ok(), free);
        }

        #[test]
        fn any_prefix_is_truncated(cut in any::<prop::sample::Index>()) {
            let batch = sample(&Sample { count: 4, ..Sample::default() });
            let cut = cut.index(batch.len());
            let truncated = matches!(verify(&batch[..cut]), Err(InvalidBatch::Truncated { .. }));
            prop_assert!(truncated);
        }
    }
}
