//! Walks the batches of a segment file from a position on, a window at a time, and says where they end to be batches.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::record::batch::{self, HEADER_LEN, Header};
use crate::ids::Offset;

/// Read at a time.
const WINDOW: u64 = 256 << 10;

/// Reads a file forwards.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A whole batch.
    Batch(Header, &'a [u8]),
    /// The end, in good order.
    End,
    /// Something that is no batch, and why not.
    Fault(String),
}

/// How closely to look at a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// That its header can be read and its bytes are there.
    Form,
    /// That its bytes are those that were sent, too.
    Checksum,
}

impl Reader<'_> {
    /// From `position`, where a batch begins, to `end`.
    pub fn new(file: &File, position: u64, end: u64) -> Reader<'_> {
        Reader {
            file,
            position,
            end,
            window: Vec::new(),
            window_start: position,
        }
    }

    /// The batch at the position, which must not begin before the offset `from`.
    pub fn next(&mut self, from: Offset, check: Check) -> io::Result<Next<'_>> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(Next::End);
        }
        let header = match Header::parse(self.bytes(left.min(HEADER_LEN as u64))?) {
            Ok(header) => header,
            Err(invalid) => return Ok(Next::Fault(invalid.to_string())),
        };
        let size = header.size as u64;
        if size > left {
            return Ok(Next::Fault(format!("{left} bytes of a batch of {size}")));
        }
        if header.base_offset < from {
            let fault = format!("offset {} where {from} comes next", header.base_offset);
            return Ok(Next::Fault(fault));
        }
        if header.next_offset() == Offset(i64::MAX) {
            // A flipped bit, for the checksum does not cover the offset.
            return Ok(Next::Fault(format!("offset {}", header.base_offset)));
        }
        if check == Check::Checksum
            && let Err(invalid) = batch::verify(self.bytes(size)?)
        {
            return Ok(Next::Fault(invalid.to_string()));
        }
        let position = self.position;
        self.position += size;
        Ok(Next::Batch(header, self.bytes_at(position, size)?))
    }

    fn bytes(&mut self, length: u64) -> io::Result<&[u8]> {
        self.bytes_at(self.position, length)
    }

    /// Bytes that must lie before the end.
    fn bytes_at(&mut self, position: u64, length: u64) -> io::Result<&[u8]> {
        let held_to = self.window_start + self.window.len() as u64;
        if position < self.window_start || position + length > held_to {
            let left = self.end - position;
            let size = usize::try_from(length.max(WINDOW).min(left)).map_err(io::Error::other)?;
            self.window.resize(size, 0);
            self.file.read_exact_at(&mut self.window, position)?;
            self.window_start = position;
        }
        let at = (position - self.window_start) as usize;
        Ok(&self.window[at..at + length as usize])
    }
}
