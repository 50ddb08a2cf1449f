//! Compression and decompression of the records of a batch.
//!
//! Producing reads over compressed records, and so do timestamp lookups; cleaning needs them as a whole. The limits of both
//! hold because the input comes from producers. Codecs are numbered as in the attributes of a batch.

mod snappy;

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read, Write},
};

use parking_lot::{Mutex, MutexGuard};

/// The largest size of the decompressed records of one batch, in bytes.
pub(crate) const MAX_DECOMPRESSED: usize = 128 << 20;

pub(crate) const NONE: i16 = 0;
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

/// Size of the part of the decompressed records that a reader holds, in bytes.
const BUFFER: usize = 32 << 10;
/// A decoder that needs more memory than this, in bytes, has to wait for others of its kind.
const LARGE: usize = 8 << 20;
/// Held by a decoder that needs much memory, so that only one does at a time.
static LARGE_DECODER: Mutex<()> = Mutex::new(());

/// Returns a reader of the decompressed records, which fails with `FileTooLarge` after `max` bytes.
///
/// It holds 32 KiB of the records, and what the codec needs: a window of up to 8 MiB (zstd), a block of up to 8 MiB (lz4)
/// or of any size (snappy). One such reader at a time holds more than 8 MiB, and none more than [`MAX_DECOMPRESSED`].
///
/// # Errors
///
/// Returns `InvalidData` if the codec is unknown or did not write the beginning of these bytes, and `FileTooLarge` if they
/// begin with a block that exceeds `max`.
pub(crate) fn reader<'a>(
    codec: i16,
    records: &'a [u8],
    max: usize,
) -> io::Result<Box<dyn BufRead + 'a>> {
    let max = max.min(MAX_DECOMPRESSED);
    Ok(match codec {
        NONE => Box::new(records),
        GZIP => Box::new(Limited::buffered(
            flate2::bufread::MultiGzDecoder::new(records),
            max,
        )),
        SNAPPY => Box::new(snappy::Blocks::open(records, max)?),
        LZ4 => Box::new(Limited::new(Lz4Frame::open(records)?, max)),
        ZSTD => zstd_reader(records, max)?,
        _ => return Err(invalid("unknown codec")),
    })
}

/// Returns the decompressed records as a whole.
///
/// # Errors
///
/// Returns an error if the codec is unknown, did not write these bytes, or gives more than [`MAX_DECOMPRESSED`].
pub(crate) fn decompress(codec: i16, records: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    if codec == NONE {
        return Ok(Cow::Borrowed(records));
    }
    let mut out = Vec::new();
    reader(codec, records, MAX_DECOMPRESSED)?.read_to_end(&mut out)?;
    Ok(Cow::Owned(out))
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

/// A reader of one lz4 frame, which nothing may follow: consumers do not expect more.
struct Lz4Frame<'a>(lz4_flex::frame::FrameDecoder<&'a [u8]>);

impl<'a> Lz4Frame<'a> {
    /// Checks the beginning as Kafka does: consumers in Java cannot read legacy frames or dependent blocks.
    fn open(records: &'a [u8]) -> io::Result<Lz4Frame<'a>> {
        const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
        const INDEPENDENT_BLOCKS: u8 = 0x20;
        let flags = records.strip_prefix(&MAGIC).and_then(<[u8]>::first);
        match flags.is_some_and(|flags| flags & INDEPENDENT_BLOCKS != 0) {
            true => Ok(Lz4Frame(lz4_flex::frame::FrameDecoder::new(records))),
            false => Err(invalid("not an lz4 frame of independent blocks")),
        }
    }
}

impl BufRead for Lz4Frame<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.fill_buf()?.is_empty() && !self.0.get_ref().is_empty() {
            return Err(invalid("bytes follow the lz4 frame"));
        }
        self.0.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }
}

impl Read for Lz4Frame<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

fn zstd_reader(records: &[u8], max: usize) -> io::Result<Box<dyn BufRead + '_>> {
    const USUAL_LOG: u32 = LARGE.ilog2();
    const LARGEST_LOG: u32 = MAX_DECOMPRESSED.ilog2();
    let is_large = zstd_window(records).is_some_and(|window| window > LARGE as u64);
    let guard = is_large.then(|| LARGE_DECODER.lock());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(records)?;
    decoder.window_log_max(if is_large { LARGEST_LOG } else { USUAL_LOG })?;
    let mut reader = Limited::buffered(decoder, max);
    reader._guard = guard;
    Ok(Box::new(reader))
}

/// Returns the window size of the first zstd frame, in bytes (RFC 8878, 3.1.1.1).
fn zstd_window(records: &[u8]) -> Option<u64> {
    const MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();
    const SINGLE_SEGMENT: u8 = 0x20;
    let [descriptor, after @ ..] = records.strip_prefix(&MAGIC)? else {
        return None;
    };
    if descriptor & SINGLE_SEGMENT == 0 {
        let byte = *after.first()?;
        let base = 1u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * u64::from(byte & 7));
    }
    // The content size takes the place of the window size; the id of a dictionary comes before it.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(after.get(dictionary..dictionary + size)?);
    Some(u64::from_le_bytes(bytes))
}

/// A reader that fails once more than a number of bytes have been read from it.
struct Limited<R> {
    reader: R,
    left: usize,
    _guard: Option<MutexGuard<'static, ()>>,
}

impl<R: Read> Limited<BufReader<R>> {
    fn buffered(reader: R, max: usize) -> Self {
        Limited::new(BufReader::with_capacity(BUFFER, reader), max)
    }
}

impl<R> Limited<R> {
    fn new(reader: R, max: usize) -> Self {
        Limited {
            reader,
            left: max,
            _guard: None,
        }
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.reader.fill_buf()?;
        match buffer.len().min(self.left) {
            0 if !buffer.is_empty() => Err(too_large()),
            some => Ok(&buffer[..some]),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes;
        self.reader.consume(bytes);
    }
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "the decompressed records exceed the limit",
    )
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
            let _ = decompress(SNAPPY, &[snappy::JAVA_MAGIC, &garbage].concat());
        }
    }

    #[test]
    fn snappy_blocks_of_java_unfold() {
        let mut java = [snappy::JAVA_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
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
    fn a_bomb_is_refused_for_its_size() {
        let zeros = vec![0; MAX_DECOMPRESSED + 1];
        for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
            let bomb = compress(codec, &zeros).unwrap();
            let error = decompress(codec, &bomb).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{codec}");
        }
    }

    #[test]
    fn the_limit_is_obeyed_to_the_byte() {
        let zeros = vec![0; 100_000];
        for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
            let compressed = compress(codec, &zeros).unwrap();
            let read = |max| {
                let mut out = Vec::new();
                reader(codec, &compressed, max)?.read_to_end(&mut out)
            };
            assert_eq!(read(100_000).unwrap(), 100_000, "{codec}");
            let error = read(99_999).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{codec}");
        }
    }

    #[test]
    fn an_lz4_frame_stands_alone_and_has_independent_blocks() {
        use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
        let frame = compress(LZ4, b"records").unwrap();
        let twice = [&frame[..], &frame].concat();
        let info = FrameInfo::new().block_mode(BlockMode::Linked);
        let mut linked = FrameEncoder::with_frame_info(info, Vec::new());
        linked.write_all(b"records").unwrap();
        let linked = linked.finish().unwrap();
        assert!(decompress(LZ4, &frame).is_ok());
        assert!(decompress(LZ4, &twice).is_err());
        assert!(decompress(LZ4, &linked).is_err());
    }

    #[test]
    fn a_snappy_block_that_promises_much_is_refused_before_it_takes_memory() {
        // A varint of 100 MiB, and an element of one byte.
        let promise = [0x80, 0x80, 0x80, 0x32, 0, b'x'];
        let error = decompress(SNAPPY, &promise).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_window_of_zstd_is_that_of_the_frame() {
        use zstd::stream::Encoder;
        let zeros = vec![0; 100_000];
        for log in [10, 20, 23, 27] {
            let mut encoder = Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&zeros).unwrap();
            let frame = encoder.finish().unwrap();
            assert_eq!(zstd_window(&frame), Some(1 << log));
            assert_eq!(&*decompress(ZSTD, &frame).unwrap(), &zeros[..], "{log}");
        }
        // With a known size, the frame is a single segment.
        let frame = zstd::bulk::compress(&zeros, 1).unwrap();
        assert_eq!(zstd_window(&frame), Some(100_000));
    }
}
