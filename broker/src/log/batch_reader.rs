//! Reads the batches of a segment file in order, and finds the place where the file no longer holds valid batches.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{
    ids::Offset,
    record::batch::{self, HEADER_LEN, RecordBatchHeader},
};

/// The number of bytes to read at a time.
const WINDOW: u64 = 256 << 10;

/// Reads batch after batch from a file.
#[derive(Debug)]
pub(crate) struct BatchReader<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
}

/// The result of reading the next batch.
#[derive(Debug)]
pub(crate) enum NextBatch<'a> {
    /// A complete batch.
    Batch(RecordBatchHeader, &'a [u8]),
    /// The end of the file, right after a batch.
    End,
    /// Bytes that are not a valid batch, and the reason.
    Fault(String),
}

/// How thoroughly a batch is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchCheck {
    /// Checks that the header can be decoded and that all bytes are there.
    Form,
    /// Checks the checksum as well.
    Checksum,
}

impl BatchReader<'_> {
    /// Reads from `position`, where a batch begins, to `end`.
    pub(crate) fn new(file: &File, position: u64, end: u64) -> BatchReader<'_> {
        BatchReader {
            file,
            position,
            end,
            window: Vec::new(),
            window_start: position,
        }
    }

    /// Reads the next batch, whose base offset must be at least `from`.
    pub(crate) fn next(&mut self, from: Offset, check: BatchCheck) -> io::Result<NextBatch<'_>> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(NextBatch::End);
        }
        let header = match RecordBatchHeader::parse(self.bytes(left.min(HEADER_LEN as u64))?) {
            Ok(header) => header,
            Err(invalid) => return Ok(NextBatch::Fault(invalid.to_string())),
        };
        let size = header.size as u64;
        if size > left {
            return Ok(NextBatch::Fault(format!(
                "{left} of {size} bytes of a batch"
            )));
        }
        if header.base_offset < from {
            let fault = format!("offset {} instead of {from}", header.base_offset);
            return Ok(NextBatch::Fault(fault));
        }
        if header.next_offset() == Offset(i64::MAX) {
            // A flipped bit: the checksum does not cover the offset.
            return Ok(NextBatch::Fault(format!(
                "impossible offset {}",
                header.base_offset
            )));
        }
        if check == BatchCheck::Checksum
            && let Err(invalid) = batch::verify(self.bytes(size)?)
        {
            return Ok(NextBatch::Fault(invalid.to_string()));
        }
        let position = self.position;
        self.position += size;
        Ok(NextBatch::Batch(header, self.bytes_at(position, size)?))
    }

    fn bytes(&mut self, length: u64) -> io::Result<&[u8]> {
        self.bytes_at(self.position, length)
    }

    /// Returns bytes before the end, from the window or from the file.
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
