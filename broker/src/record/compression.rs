//! Opening and closing the compressed records of a batch, for the few who must look inside: compaction, and finding a
//! time. The hot paths never come here.
//!
//! The codes are those of a batch's attributes. What comes out is bounded, for what goes in is a producer's.

use std::borrow::Cow;
use std::io::{self, Read, Write};

/// The most that the records of one batch may unfold to.
const MAX_UNFOLDED: usize = 256 << 20;

const NONE: i16 = 0;
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

/// The records as they were before they were compressed.
///
/// # Errors
///
/// `InvalidData` for bytes that the codec did not write, an unknown codec, or more than 256 MiB.
pub fn unfold(codec: i16, records: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    let unfolded = match codec {
        NONE => return Ok(Cow::Borrowed(records)),
        GZIP => read_all(flate2::read::MultiGzDecoder::new(records))?,
        SNAPPY => snappy(records)?,
        LZ4 => read_all(lz4_flex::frame::FrameDecoder::new(records))?,
        ZSTD => read_all(zstd::stream::read::Decoder::with_buffer(records)?)?,
        _ => return Err(invalid("an unknown codec")),
    };
    Ok(Cow::Owned(unfolded))
}

/// Records as the codec writes them.
///
/// # Errors
///
/// An unknown codec.
pub fn fold(codec: i16, records: &[u8]) -> io::Result<Vec<u8>> {
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
        _ => Err(invalid("an unknown codec")),
    }
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(MAX_UNFOLDED as u64 + 1).read_to_end(&mut out)?;
    match out.len() {
        ..=MAX_UNFOLDED => Ok(out),
        _ => Err(too_large()),
    }
}

/// What stands in front of the blocks that Java clients write (snappy-java, `SnappyCodec`): a magic and two versions.
const JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
const JAVA_HEADER: usize = 16;

/// One raw block, as librdkafka writes it, or blocks behind their lengths, as Java does.
fn snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if !records.starts_with(JAVA_MAGIC) {
        snappy_block(records, &mut out)?;
        return Ok(out);
    }
    let mut rest = records.get(JAVA_HEADER..).unwrap_or_default();
    while let Some((length, blocks)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = blocks
            .get(..length)
            .ok_or_else(|| invalid("a snappy block that is cut off"))?;
        snappy_block(block, &mut out)?;
        rest = &blocks[length..];
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(block).map_err(invalid)?;
    let start = out.len();
    if start + length > MAX_UNFOLDED {
        return Err(too_large());
    }
    out.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(invalid)?;
    Ok(())
}

fn too_large() -> io::Error {
    invalid("records that unfold to more than 256 MiB")
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
            let folded = fold(codec, &records).unwrap();
            prop_assert_eq!(&*unfold(codec, &folded).unwrap(), &records[..]);
        }

        #[test]
        fn garbage_is_refused_or_unfolds(codec in 0..=7i16, garbage in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = unfold(codec, &garbage);
            let _ = unfold(SNAPPY, &[JAVA_MAGIC, &garbage].concat());
        }
    }

    #[test]
    fn snappy_blocks_of_java_unfold() {
        let mut java = [JAVA_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for part in ["ab", "", "cde"] {
            let block = fold(SNAPPY, part.as_bytes()).unwrap();
            java.extend((block.len() as u32).to_be_bytes());
            java.extend(block);
        }
        assert_eq!(&*unfold(SNAPPY, &java).unwrap(), b"abcde");
        java.pop();
        assert!(unfold(SNAPPY, &java).is_err());
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; MAX_UNFOLDED + 1];
        for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
            let bomb = fold(codec, &zeros).unwrap();
            assert!(unfold(codec, &bomb).is_err(), "{codec}");
        }
    }
}
