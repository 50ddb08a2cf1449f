//! The header of a record batch, format v2: what the broker reads of a batch, and the two fields that it writes.
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
//! Because the CRC starts at byte 21, a batch can be stored as it came with offset and epoch patched. This file knows
//! neither files nor connections.

use crate::ids::{Offset, Producer, ProducerId};

/// The bytes of a header; no batch is shorter.
pub const HEADER_LEN: usize = 61;
/// The bytes in front of what "batch length" counts.
pub const LENGTH_PREFIX: usize = 12;
/// The bytes that the broker rewrites: everything before the magic byte.
pub const PATCHED_LEN: usize = 16;
/// The only format that the broker stores.
pub const MAGIC: i8 = 2;
/// The leader epoch of a node that never changes its leader.
pub const LEADER_EPOCH: i32 = 0;

/// The attribute of a batch whose time is the broker's.
const LOG_APPEND_TIME: i16 = 0b1000;
/// The attribute of a batch whose base timestamp says when compaction may drop its tombstones.
pub const DELETE_HORIZON: i16 = 0b100_0000;

/// Where the bytes begin that the CRC covers.
pub const CRC_START: usize = 21;

/// The header of one batch, decoded. Fields as in the table of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// Bytes of the whole batch, the length prefix included.
    pub size: usize,
    /// CRC-32C as the producer computed it.
    pub crc: u32,
    /// The attribute bits.
    pub attributes: i16,
    /// The offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// The timestamp that the records' deltas count from, in ms.
    pub base_timestamp: i64,
    /// The largest timestamp within, in ms.
    pub max_timestamp: i64,
    /// The idempotent producer, if it is one.
    pub producer_id: Option<ProducerId>,
    /// The epoch of that producer.
    pub producer_epoch: i16,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// How many records the producer says are inside.
    pub count: i32,
}

/// Why bytes are not a batch that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Fewer bytes than a header, or than the header's own length says.
    #[error("{have} bytes where a batch of {need} should be")]
    Truncated {
        /// Bytes present.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The length field is impossible.
    #[error("a batch length of {0}")]
    Length(i32),
    /// A format before v2, or garbage.
    #[error("record format v{0}; only v2 is stored (clients since Kafka 0.11 write it)")]
    Magic(i8),
    /// The bytes are not those that the producer wrote.
    #[error("crc-32c {computed:08x} where the header says {stored:08x}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A record count that does not fit the offsets.
    #[error("{count} records with a last offset delta of {last_offset_delta}")]
    Count {
        /// The count field.
        count: i32,
        /// The delta field.
        last_offset_delta: i32,
    },
}

impl Header {
    /// Reads the header at the start of `bytes`, which may hold less or more than the whole batch.
    ///
    /// Length, magic and count are checked; the CRC is not, see [`verify`].
    pub fn parse(bytes: &[u8]) -> Result<Header, Invalid> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(Invalid::Truncated {
                have: bytes.len(),
                need: HEADER_LEN,
            });
        };
        let magic = header[16] as i8;
        if magic != MAGIC {
            return Err(Invalid::Magic(magic));
        }
        let length = i32::from_be_bytes(field(header, 8));
        let size = usize::try_from(length).map_err(|_| Invalid::Length(length))? + LENGTH_PREFIX;
        if size < HEADER_LEN {
            return Err(Invalid::Length(length));
        }
        let producer_id = i64::from_be_bytes(field(header, 43));
        let parsed = Header {
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
            return Err(Invalid::Count {
                count: parsed.count,
                last_offset_delta: parsed.last_offset_delta,
            });
        }
        Ok(parsed)
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .saturating_add(i64::from(self.last_offset_delta)),
        )
    }

    /// The offset that the next batch gets.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The incarnation of the idempotent producer, if it is one.
    pub fn producer(&self) -> Option<Producer> {
        self.producer_id.map(|id| Producer {
            id,
            epoch: self.producer_epoch,
        })
    }

    /// The codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing.
    pub fn codec(&self) -> i16 {
        self.attributes & 0b111
    }

    /// Whether the timestamps claim to be the broker's.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0b1_0000 != 0
    }

    /// From when on (ms) compaction may drop the tombstones within, if it has met them.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether the records are a coordinator's markers.
    pub fn is_control(&self) -> bool {
        self.attributes & 0b10_0000 != 0
    }
}

/// Reads the header of `batch`, which must be exactly one whole batch, and checks the CRC over it.
pub fn verify(batch: &[u8]) -> Result<Header, Invalid> {
    let header = Header::parse(batch)?;
    if header.size != batch.len() {
        return Err(Invalid::Truncated {
            have: batch.len(),
            need: header.size,
        });
    }
    let computed = crc32c::crc32c(&batch[CRC_START..]);
    if computed != header.crc {
        return Err(Invalid::Crc {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

/// The first [`PATCHED_LEN`] bytes of `batch` as they are stored: at `base_offset`, under [`LEADER_EPOCH`].
pub fn patched(batch: &[u8], base_offset: Offset) -> [u8; PATCHED_LEN] {
    let mut head = [0; PATCHED_LEN];
    head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    head[8..12].copy_from_slice(&batch[8..12]);
    head[12..].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    head
}

/// The batch as a topic stores it whose clock is the broker's: every record at `now` (ms).
///
/// The attribute says so, and the largest timestamp is it; the records stay as they are (KIP-32).
pub fn stamped(header: &Header, batch: &[u8], now: i64) -> (Header, Vec<u8>) {
    let mut batch = batch.to_vec();
    let mut header = Header {
        attributes: header.attributes | LOG_APPEND_TIME,
        max_timestamp: now,
        ..*header
    };
    batch[21..23].copy_from_slice(&header.attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&now.to_be_bytes());
    header.crc = seal(&mut batch);
    (header, batch)
}

/// Writes the CRC that the bytes need, and gives it.
pub fn seal(batch: &mut [u8]) -> u32 {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    crc
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    *header[at..]
        .first_chunk()
        .expect("every field of the table lies within the header")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a test wants of a batch; the rest is plausible.
    pub(crate) struct Sample {
        pub base_offset: i64,
        pub count: i32,
        pub base_timestamp: i64,
        pub producer: (i64, i16, i32),
        pub transactional: bool,
        pub value_len: usize,
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

    /// A valid uncompressed batch whose record `i` has timestamp `base_timestamp + i`.
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
        seal(&mut batch);
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
        let head = patched(&batch, Offset(1 << 40));
        batch[..PATCHED_LEN].copy_from_slice(&head);
        assert_eq!(verify(&batch).unwrap().base_offset, Offset(1 << 40));
    }

    #[test]
    fn older_formats_and_impossible_lengths_are_named() {
        let mut batch = sample(&Sample::default());
        batch[16] = 1;
        assert_eq!(Header::parse(&batch), Err(Invalid::Magic(1)));
        let mut batch = sample(&Sample::default());
        batch[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(Header::parse(&batch), Err(Invalid::Length(-1)));
        batch[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(Header::parse(&batch), Err(Invalid::Length(48)));
        batch[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(matches!(verify(&batch), Err(Invalid::Truncated { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes);
            let _ = verify(&bytes);
        }

        #[test]
        fn any_flipped_bit_that_matters_is_found(count in 1..5i32, at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut batch = sample(&Sample { count, ..Sample::default() });
            let at = at.index(batch.len());
            batch[at] ^= 1 << bit;
            // Base offset and leader epoch are the broker's own, and outside the CRC.
            let free = at < 8 || (12..PATCHED_LEN).contains(&at);
            prop_assert_eq!(verify(&batch).is_ok(), free);
        }

        #[test]
        fn any_prefix_is_truncated(cut in any::<prop::sample::Index>()) {
            let batch = sample(&Sample { count: 4, ..Sample::default() });
            let cut = cut.index(batch.len());
            let truncated = matches!(verify(&batch[..cut]), Err(Invalid::Truncated { .. }));
            prop_assert!(truncated);
        }
    }
}
