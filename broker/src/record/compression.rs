//! Compression and decompression of the records of a batch.
//!
//! Only cleaning and timestamp lookups need it: the hot paths store and send batches as they are. Codecs are numbered as
//! in the attributes of a batch. Decompression limits the size of its output, because the input comes from producers.

use std::{
    borrow::Cow,
    io::{self, Read, Write},
};

/// The largest size of the decompressed records of one batch, in bytes.
const MAX_DECOMPRESSED: usize = 256 << 20;

const NONE: i16 = 0;
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

/// Returns the decompressed records.
///
/// # Errors
///
/// Returns `InvalidData` if the codec is unknown, did not write these bytes, or gives more than 256 MiB.
pub(crate) fn decompress(codec: i16, records: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    let decompressed = match codec {
        NONE => return Ok(Cow::Borrowed(records)),
        GZIP => read_all(flate2::read::MultiGzDecoder::new(records))?,
        SNAPPY => snappy(records)?,
        LZ4 => read_all(lz4_flex::frame::FrameDecoder::new(records))?,
        ZSTD => read_all(zstd::stream::read::Decoder::with_buffer(records)?)?,
        _ => return Err(invalid("unknown codec")),
    };
    Ok(Cow::Owned(decompressed))
}

/// Returns the compressed records.
///
/// # Errors
///
/// Returns an error if the codec is unknown.
pub(crate) fn compress(codec: i16, records: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        NONE => Ok(records.to_vec()),
        GZIP => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(records)?;
            out.finish()
        }
        SNAPPY => snap::raw::Encoder::new()
            .compress_vec(records)
            .map_err(io::Error::other),
        LZ4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(records)?;
            out.finish().map_err(io::Error::other)
        }
        ZSTD => zstd::stream::encode_all(records, 0),
        _ => Err(invalid("unknown codec")),
    }
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader
        .take(MAX_DECOMPRESSED as u64 + 1)
        .read_to_end(&mut out)?;
    match out.len() {
        ..=MAX_DECOMPRESSED => Ok(out),
        _ => Err(too_large()),
    }
}

/// The header of Snappy data from Java clients (snappy-java, `SnappyCodec`): this magic and two version numbers.
const JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
const JAVA_HEADER_LEN: usize = 16;

/// Decompresses one raw block, which librdkafka writes, or blocks with their lengths, which Java clients write.
fn snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if !records.starts_with(JAVA_MAGIC) {
        snappy_block(records, &mut out)?;
        return Ok(out);
    }
    let mut rest = records.get(JAVA_HEADER_LEN..).unwrap_or_default();
    while let Some((length, blocks)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = blocks
            .get(..length)
            .ok_or_else(|| invalid("a snappy block is cut off"))?;
        snappy_block(block, &mut out)?;
        rest = &blocks[length..];
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(block).map_err(invalid)?;
    let start = out.len();
    if start + length > MAX_DECOMPRESSED {
        return Err(too_large());
    }
    out.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(invalid)?;
    Ok(())
}

fn too_large() -> io::Error {
    invalid("the records decompress to more than 256 MiB")
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_folded_unfolds(codec in 0..=4i16, records in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            let compressed = compress(codec, &records).unwrap();
            prop_assert_eq!(&*decompress(codec, &compressed).unwrap(), &records[..]);
        }

        #[test]
        fn garbage_is_refused_or_unfolds(codec in 0..=7i16, garbage in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = decompress(codec, &garbage);
            let _ = decompress(SNAPPY, &[JAVA_MAGIC, &garbage].concat());
        }
    }

    #[test]
    fn snappy_blocks_of_java_unfold() {
        let mut java = [JAVA_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for part in ["ab", "", "cde"] {
            let block = compress(SNAPPY, part.as_bytes()).unwrap();
            java.extend((block.len() as u32).to_be_bytes());
            java.extend(block);
        }
        assert_eq!(&*decompress(SNAPPY, &java).unwrap(), b"abcde");
        java.pop();
        assert!(decompress(SNAPPY, &java).is_err());
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; MAX_DECOMPRESSED + 1];
        for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
            let bomb = compress(codec, &zeros).unwrap();
            assert!(decompress(codec, &bomb).is_err(), "{codec}");
        }
    }
}
