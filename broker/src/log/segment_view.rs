//! Reading a segment without the lock of its log. This is safe because a file only grows, and a view ends where the
//! complete batches ended when the view was created.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;

use super::offset_index::INTERVAL;
use crate::{
    ids::Offset,
    record::{
        batch::{HEADER_LEN, RecordBatchHeader},
        records,
    },
};

/// A part of a segment that begins and ends at the bounds of batches.
#[derive(Debug)]
pub(crate) struct SegmentView {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl SegmentView {
    /// Returns a view from `start`, where a batch must begin, to `end`, where one must end.
    pub(crate) fn new(file: Arc<File>, start: u64, end: u64) -> SegmentView {
        SegmentView { file, start, end }
    }

    /// Returns the number of bytes from the batch that holds `from` to the end; 0 if there is none.
    pub(crate) fn bytes_since(&self, from: Offset) -> io::Result<u64> {
        let found = self.find(|_, header| header.last_offset() >= from)?;
        Ok(found.map_or(0, |(position, _)| self.end - position))
    }

    /// Reads batches from the one that holds `from` on, at most `max_bytes` bytes; `None` if there is none.
    ///
    /// If the first batch is larger than that, the result has this one batch if `at_least_one`, and is empty if not.
    pub(crate) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> io::Result<Option<Bytes>> {
        let Some((position, first)) = self.find(|_, header| header.last_offset() >= from)? else {
            return Ok(None);
        };
        if first.size > max_bytes && !at_least_one {
            return Ok(Some(Bytes::new()));
        }
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(max_bytes.max(first.size))];
        self.file.read_exact_at(&mut bytes, position)?;
        bytes.truncate(complete_batches(&bytes));
        Ok(Some(Bytes::from(bytes)))
    }

    /// Returns whether the view begins with a batch with this base offset.
    pub(crate) fn begins_at(&self, offset: Offset) -> bool {
        let mut header = [0; HEADER_LEN];
        let read = self.file.read_exact_at(&mut header, self.start);
        read.is_ok()
            && RecordBatchHeader::parse(&header).is_ok_and(|header| header.base_offset == offset)
    }

    /// Returns the largest timestamp (ms) of the batches that hold `from` or come after it.
    pub(crate) fn newest_from(&self, from: Offset) -> io::Result<Option<i64>> {
        let mut newest = None;
        let mut result = Ok(());
        self.find(|position, header| {
            if header.last_offset() >= from {
                match self.time_of(position, header) {
                    Ok(timestamp) => newest = newest.max(Some(timestamp)),
                    Err(error) => result = Err(error),
                }
            }
            result.is_err()
        })?;
        result.map(|()| newest)
    }

    /// Returns the largest timestamp (ms) of a batch, from the records if its header has none.
    fn time_of(&self, position: u64, header: &RecordBatchHeader) -> io::Result<i64> {
        match header.max_timestamp {
            ..0 => {
                let batch = self.batch_at(position, header)?;
                Ok(records::with_known_time(header, &batch).max_timestamp)
            }
            known => Ok(known),
        }
    }

    /// Returns the first batch that reaches `from` and may have a record with at least this timestamp (ms).
    pub(crate) fn batch_since(
        &self,
        timestamp: i64,
        from: Offset,
    ) -> io::Result<Option<(RecordBatchHeader, Bytes)>> {
        let wanted = |_, header: &RecordBatchHeader| {
            let may_be_later = header.max_timestamp >= timestamp || header.max_timestamp < 0;
            may_be_later && header.last_offset() >= from
        };
        let Some((position, header)) = self.find(wanted)? else {
            return Ok(None);
        };
        Ok(Some((header, self.batch_at(position, &header)?)))
    }

    fn batch_at(&self, position: u64, header: &RecordBatchHeader) -> io::Result<Bytes> {
        let mut bytes = vec![0; header.size];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(Bytes::from(bytes))
    }

    /// Returns position and header of the first batch that is `wanted`.
    fn find(
        &self,
        mut wanted: impl FnMut(u64, &RecordBatchHeader) -> bool,
    ) -> io::Result<Option<(u64, RecordBatchHeader)>> {
        let mut window = [0; INTERVAL as usize];
        let mut position = self.start;
        while position + HEADER_LEN as u64 <= self.end {
            let length = (self.end - position).min(INTERVAL) as usize;
            let window = &mut window[..length];
            self.file.read_exact_at(window, position)?;
            let mut at = 0;
            while at + HEADER_LEN <= length {
                let header = RecordBatchHeader::parse(&window[at..]).map_err(io::Error::other)?;
                let found_at = position + at as u64;
                if wanted(found_at, &header) {
                    return Ok(Some((found_at, header)));
                }
                at += header.size;
            }
            position += at as u64;
        }
        Ok(None)
    }
}

/// Returns the size of the complete batches at the start of `bytes`.
fn complete_batches(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Ok(header) = RecordBatchHeader::parse(&bytes[end..])
        && end + header.size <= bytes.len()
    {
        end += header.size;
    }
    end
}
