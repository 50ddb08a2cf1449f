//! Reading a segment without holding its partition's lock: the file only grows, and a view ends where the whole batches
//! ended when it was taken.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::offset_index::INTERVAL;
use crate::record::batch::{HEADER_LEN, Header};
use crate::ids::Offset;

/// A stretch of a segment that begins with a batch and ends with one.
#[derive(Debug)]
pub struct View {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl View {
    /// `start` must be where a batch begins, `end` where one ends.
    pub fn new(file: Arc<File>, start: u64, end: u64) -> View {
        View { file, start, end }
    }

    /// Bytes from the batch that holds `from` to the end; 0 if there is none.
    pub fn bytes_since(&self, from: Offset) -> io::Result<u64> {
        let found = self.find(|header| header.last_offset() >= from)?;
        Ok(found.map_or(0, |(position, _)| self.end - position))
    }

    /// Whole batches from the one that holds `from` on, at most `max_bytes` of them; `None` if there is none.
    ///
    /// If the first alone is larger, it is given all the same when `at_least_one`, else nothing.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> io::Result<Option<Bytes>> {
        let Some((position, first)) = self.find(|header| header.last_offset() >= from)? else {
            return Ok(None);
        };
        if first.size > max_bytes && !at_least_one {
            return Ok(Some(Bytes::new()));
        }
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(max_bytes.max(first.size))];
        self.file.read_exact_at(&mut bytes, position)?;
        bytes.truncate(whole_batches(&bytes));
        Ok(Some(Bytes::from(bytes)))
    }

    /// Whether a batch with that offset stands at its beginning.
    pub fn begins_at(&self, offset: Offset) -> bool {
        let mut head = [0; HEADER_LEN];
        let read = self.file.read_exact_at(&mut head, self.start);
        read.is_ok() && Header::parse(&head).is_ok_and(|header| header.base_offset == offset)
    }

    /// The largest timestamp (ms) of the batches that reach `from` or lie behind it.
    pub fn newest_from(&self, from: Offset) -> io::Result<Option<i64>> {
        let mut newest = None;
        self.find(|header| {
            if header.last_offset() >= from {
                newest = newest.max(Some(header.max_timestamp));
            }
            false
        })?;
        Ok(newest)
    }

    /// The first batch that reaches `from` whose largest timestamp is at least `timestamp` (ms), whole.
    pub fn batch_since(&self, timestamp: i64, from: Offset) -> io::Result<Option<(Header, Bytes)>> {
        let wanted =
            |header: &Header| header.max_timestamp >= timestamp && header.last_offset() >= from;
        let Some((position, header)) = self.find(wanted)? else {
            return Ok(None);
        };
        let mut bytes = vec![0; header.size];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(Some((header, Bytes::from(bytes))))
    }

    /// Walks the headers until one is `wanted`.
    fn find(&self, mut wanted: impl FnMut(&Header) -> bool) -> io::Result<Option<(u64, Header)>> {
        let mut window = [0; INTERVAL as usize];
        let mut position = self.start;
        while position + HEADER_LEN as u64 <= self.end {
            let length = (self.end - position).min(INTERVAL) as usize;
            let window = &mut window[..length];
            self.file.read_exact_at(window, position)?;
            let mut at = 0;
            while at + HEADER_LEN <= length {
                let header = Header::parse(&window[at..]).map_err(io::Error::other)?;
                if wanted(&header) {
                    return Ok(Some((position + at as u64, header)));
                }
                at += header.size;
            }
            position += at as u64;
        }
        Ok(None)
    }
}

/// How many of `bytes` are whole batches.
fn whole_batches(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Ok(header) = Header::parse(&bytes[end..])
        && end + header.size <= bytes.len()
    {
        end += header.size;
    }
    end
}
