//! Reading a partition: by offset, and by time.

use std::io;

use bytes::Bytes;

use super::partition_log::{Bounds, Partition};
use super::state::State;
use super::segment_view::View;
use crate::ids::Offset;
use crate::record::records;

/// Why an offset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It lies outside the log.
    #[error("outside offsets {} to {}", .0.start, .0.end)]
    OutOfRange(Bounds),
    /// The disk refused.
    #[error("cannot read the log")]
    Storage(#[from] io::Error),
}

/// A record's timestamp, ms, and its offset.
type Stamp = (i64, Offset);

impl Partition {
    /// Bytes that a fetch at `from` could get from one segment.
    pub fn bytes_since(&self, from: Offset) -> Result<u64, ReadError> {
        let bytes = |view: &View| match view.bytes_since(from)? {
            0 => Ok(None),
            bytes => Ok(Some(bytes)),
        };
        Ok(self.look(from, bytes)?.0.unwrap_or(0))
    }

    /// Whole batches from the one that holds `from` on, with the bounds of that moment; see [`View::read`].
    ///
    /// Nothing at the end of the log. One call reads from one segment.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, Bounds), ReadError> {
        let read = |view: &View| view.read(from, max_bytes, at_least_one);
        let (bytes, bounds) = self.look(from, read)?;
        Ok((bytes.unwrap_or_default(), bounds))
    }

    /// The first record whose timestamp (ms) is at least `timestamp`, as timestamp and offset.
    pub fn find_by_time(&self, timestamp: i64) -> io::Result<Option<Stamp>> {
        let mut from = self.bounds().start;
        // Where the segment's newest record was deleted, the next one may hold what is looked for.
        while let Some((view, next)) = self.segment_since(timestamp, from)? {
            if let Some(found) = first_since(&view, timestamp, from)? {
                return Ok(Some(found));
            }
            from = next;
        }
        Ok(None)
    }

    /// The record with the largest timestamp, as timestamp and offset; the first of them if several.
    pub fn find_newest(&self) -> io::Result<Option<Stamp>> {
        let newest = self.newest_timestamp()?;
        newest.map_or(Ok(None), |timestamp| self.find_by_time(timestamp))
    }

    fn newest_timestamp(&self) -> io::Result<Option<i64>> {
        let state = self.lock();
        let start = state.bounds().start;
        let mut newest = None;
        for segment in &state.segments {
            // Part of it may be deleted, and the newest record with that.
            newest = newest.max(match segment.base() >= start {
                true => segment.newest_timestamp(),
                false => segment.view_at(start)?.newest_from(start)?,
            });
        }
        Ok(newest)
    }

    /// The first segment that reaches `from` and has a record so new, and the offset behind it.
    fn segment_since(&self, timestamp: i64, from: Offset) -> io::Result<Option<(View, Offset)>> {
        let state = self.lock();
        let mut segments = state.segments.iter();
        let found = segments
            .find(|segment| segment.next() > from && segment.newest_timestamp() >= Some(timestamp));
        found
            .map(|segment| Ok((segment.view_since(timestamp)?, segment.next())))
            .transpose()
    }

    /// What `look` finds in the segment that holds `from` or, where compaction has left nothing there, behind it.
    fn look<T>(
        &self,
        from: Offset,
        look: impl Fn(&View) -> io::Result<Option<T>>,
    ) -> Result<(Option<T>, Bounds), ReadError> {
        let mut next = from;
        loop {
            let (bounds, view) = {
                let state = self.lock();
                let bounds = state.bounds();
                if from < bounds.start || from > bounds.end {
                    return Err(ReadError::OutOfRange(bounds));
                }
                (bounds, view_at(&state, next)?)
            };
            let Some((view, end)) = view else {
                return Ok((None, bounds));
            };
            if let Some(found) = look(&view)? {
                return Ok((Some(found), bounds));
            }
            next = end;
        }
    }
}

/// For reading at `from`, and the offset behind the segment; `None` at the end of the log.
fn view_at(state: &State, from: Offset) -> io::Result<Option<(View, Offset)>> {
    let holder = state.segments.partition_point(|s| s.next() <= from);
    let segment = state.segments.get(holder);
    segment
        .map(|segment| Ok((segment.view_at(from)?, segment.next())))
        .transpose()
}

fn first_since(view: &View, timestamp: i64, from: Offset) -> io::Result<Option<Stamp>> {
    let mut after = from;
    // A batch is as new as its newest record, which may be a deleted one.
    while let Some((header, bytes)) = view.batch_since(timestamp, after)? {
        let unfolded = records::unfold(&header, &bytes);
        let found = match &unfolded {
            Ok(records) => records::stamps(&header, records)
                .find(|(at, offset)| *at >= timestamp && *offset >= from),
            // What cannot be opened is found as a whole.
            Err(_) => Some((header.max_timestamp, header.base_offset)),
        };
        if found.is_some() {
            return Ok(found);
        }
        after = header.next_offset();
    }
    Ok(None)
}
