//! Batches whose every field can be wrong: records as bytes, a codec, and a header that need not fit them.

use std::io::Write;

use bytes::Bytes;
use eventos_testkit::raw::now;

/// Codecs, as the attributes of a batch number them.
pub(crate) const NONE: i16 = 0;
pub(crate) const GZIP: i16 = 1;
pub(crate) const SNAPPY: i16 = 2;
pub(crate) const LZ4: i16 = 3;
pub(crate) const ZSTD: i16 = 4;
/// Attribute of a batch whose timestamps are those of the broker.
pub(crate) const LOG_APPEND_TIME: i16 = 8;

/// A record before it is encoded.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub time_delta: i64,
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
}

/// Returns an encoded record without headers.
pub(crate) fn record(fields: Fields<'_>) -> Vec<u8> {
    let mut body = vec![0];
    varint(&mut body, fields.time_delta);
    varint(&mut body, fields.offset_delta);
    varint(&mut body, fields.key.map_or(-1, |key| key.len() as i64));
    body.extend(fields.key.unwrap_or_default());
    varint(&mut body, fields.value.len() as i64);
    body.extend(fields.value);
    varint(&mut body, 0);
    let mut record = Vec::new();
    varint(&mut record, body.len() as i64);
    record.extend(body);
    record
}

/// Appends a number as records encode it.
pub(crate) fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// A batch with a valid length and checksum, whatever its other fields say.
#[derive(Clone)]
pub(crate) struct Crafted {
    pub base_offset: i64,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub count: i32,
    /// The records as they are sent, which is compressed if the attributes say so.
    pub payload: Vec<u8>,
}

impl Crafted {
    /// Returns a batch of these records, which are compressed with the codec. The header fits `count` records of now.
    pub(crate) fn new(codec: i16, count: i32, records: &[u8]) -> Self {
        Self::with_payload(codec, count, compress(codec, records))
    }

    /// Returns a batch with this payload, which may not be what the codec writes.
    pub(crate) fn with_payload(codec: i16, count: i32, payload: Vec<u8>) -> Self {
        let time = now();
        Self {
            base_offset: 0,
            attributes: codec,
            last_offset_delta: count - 1,
            base_timestamp: time,
            max_timestamp: time,
            count,
            payload,
        }
    }

    /// Returns the bytes of the batch.
    pub(crate) fn bytes(&self) -> Bytes {
        const CRC_START: usize = 21;
        let mut out = Vec::new();
        out.extend(self.base_offset.to_be_bytes());
        out.extend((49 + self.payload.len() as i32).to_be_bytes());
        out.extend((-1i32).to_be_bytes());
        out.push(2);
        out.extend([0; 4]);
        out.extend(self.attributes.to_be_bytes());
        out.extend(self.last_offset_delta.to_be_bytes());
        out.extend(self.base_timestamp.to_be_bytes());
        out.extend(self.max_timestamp.to_be_bytes());
        out.extend((-1i64).to_be_bytes());
        out.extend((-1i16).to_be_bytes());
        out.extend((-1i32).to_be_bytes());
        out.extend(self.count.to_be_bytes());
        out.extend(&self.payload);
        let crc = crc32c::crc32c(&out[CRC_START..]);
        out[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
        out.into()
    }
}

/// Returns the bytes that a codec makes of some bytes.
pub(crate) fn compress(codec: i16, bytes: &[u8]) -> Vec<u8> {
    match codec {
        NONE => bytes.to_vec(),
        GZIP => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(bytes).expect("compressed");
            out.finish().expect("compressed")
        }
        SNAPPY => snap::raw::Encoder::new()
            .compress_vec(bytes)
            .expect("compressed"),
        LZ4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).expect("compressed");
            out.finish().expect("compressed")
        }
        ZSTD => zstd::stream::encode_all(bytes, 0).expect("compressed"),
        _ => panic!("codec {codec}"),
    }
}
