//! Snappy, which is one raw block from most clients, and blocks with their lengths from Java clients.

use std::io::{self, BufRead, Read};

use parking_lot::MutexGuard;

use super::{LARGE, LARGE_DECODER, invalid, too_large};

/// The header of Snappy data from Java clients (snappy-java, `SnappyCodec`): this magic and two version numbers.
pub(super) const JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
const JAVA_HEADER_LEN: usize = 16;

/// The largest number of bytes that a byte of a block can become: an element of 3 bytes copies up to 64.
const MAX_RATIO: usize = 22;

/// A reader of the decompressed blocks, which holds one of them.
pub(super) struct Blocks<'a> {
    /// The blocks after the current one.
    rest: &'a [u8],
    /// Whether each block has its length in front; otherwise there is only one.
    has_lengths: bool,
    block: Vec<u8>,
    /// The position in the block.
    at: usize,
    /// The number of bytes that the blocks after the current one may have.
    left: usize,
    guard: Option<MutexGuard<'static, ()>>,
}

impl<'a> Blocks<'a> {
    /// Opens data whose blocks have at most `max` bytes in total.
    pub(super) fn open(records: &'a [u8], max: usize) -> io::Result<Blocks<'a>> {
        let has_lengths = records.starts_with(JAVA_MAGIC);
        let mut blocks = Blocks {
            rest: records,
            has_lengths,
            block: Vec::new(),
            at: 0,
            left: max,
            guard: None,
        };
        match has_lengths {
            true => blocks.rest = records.get(JAVA_HEADER_LEN..).unwrap_or_default(),
            false => {
                blocks.rest = &[];
                blocks.decode(records)?;
            }
        }
        Ok(blocks)
    }

    /// Decodes the next block that is not empty, if there is one.
    fn next(&mut self) -> io::Result<()> {
        while self.has_lengths && self.at == self.block.len() && !self.rest.is_empty() {
            let cut_off = || invalid("a snappy block is cut off");
            let (length, after) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
            let length = u32::from_be_bytes(*length) as usize;
            let block = after.get(..length).ok_or_else(cut_off)?;
            self.rest = &after[length..];
            self.decode(block)?;
        }
        Ok(())
    }

    fn decode(&mut self, block: &[u8]) -> io::Result<()> {
        let length = snap::raw::decompress_len(block).map_err(invalid)?;
        if length > block.len().saturating_mul(MAX_RATIO) {
            return Err(invalid("a snappy block is shorter than its length says"));
        }
        self.left = self.left.checked_sub(length).ok_or_else(too_large)?;
        if length > LARGE && self.guard.is_none() {
            self.guard = Some(LARGE_DECODER.lock());
        }
        self.at = 0;
        self.block.clear();
        self.block.resize(length, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut self.block)
            .map_err(invalid)?;
        Ok(())
    }
}

impl BufRead for Blocks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.next()?;
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}
