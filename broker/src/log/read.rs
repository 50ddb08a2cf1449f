//! Reading a log: by offset, and by timestamp.

use std::{io, ops::ControlFlow};

use bytes::Bytes;

use super::{
    partition_log::{LogBounds, PartitionLog},
    segment_view::SegmentView,
    state::LogState,
};
use crate::{
    ids::Offset,
    record::{compression::MAX_DECOMPRESSED, record_reader},
};

/// The reason why an offset cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The offset is not in the log.
    #[error("the offset is not between {} and {}", .0.start, .0.end)]
    OutOfRange(LogBounds),
    /// Reading failed.
    #[error("cannot read the log")]
    Storage(#[from] io::Error),
}

/// The timestamp (ms) and the offset of a record.
type Stamp = (i64, Offset);

impl PartitionLog {
    /// Returns the number of bytes that a fetch at `from` can get from one segment.
    pub(crate) fn bytes_since(&self, from: Offset) -> Result<u64, ReadError> {
        let bytes = |view: &SegmentView| match view.bytes_since(from)? {
            0 => Ok(None),
            bytes => Ok(Some(bytes)),
        };
        Ok(self.find_from(from, bytes)?.0.unwrap_or(0))
    }

    /// Reads batches from the one that holds `from` on; returns them with the current offsets of the log.
    ///
    /// See [`SegmentView::read`] for the limits. Returns nothing at the end of the log. One call reads from one segment.
    pub(crate) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, LogBounds), ReadError> {
        let read = |view: &SegmentView| view.read(from, max_bytes, at_least_one);
        let (bytes, bounds) = self.find_from(from, read)?;
        Ok((bytes.unwrap_or_default(), bounds))
    }

    /// Returns the first record whose timestamp (ms) is at least `timestamp`.
    pub(crate) fn find_by_time(&self, timestamp: i64) -> io::Result<Option<Stamp>> {
        let mut from = self.bounds().start;
        // If the newest record of a segment was deleted, the record may be in the next segment.
        while let Some((view, next)) = self.segment_since(timestamp, from)? {
            if let Some(found) = first_since(&view, timestamp, from)? {
                return Ok(Some(found));
            }
            from = next;
        }
        Ok(None)
    }

    /// Returns the record with the largest timestamp; the first one if there are several, or if no record has one.
    pub(crate) fn find_newest(&self) -> io::Result<Option<Stamp>> {
        let newest = self.newest_timestamp()?;
        newest.map_or(Ok(None), |timestamp| self.find_by_time(timestamp))
    }

    fn newest_timestamp(&self) -> io::Result<Option<i64>> {
        let state = self.state.lock();
        let start = state.bounds().start;
        let mut newest = None;
        for segment in &state.segments {
            // The start of the segment may be deleted, and with it the newest record.
            newest = newest.max(match segment.base() >= start {
                true => segment.newest_timestamp(),
                false => segment.view_at(start)?.newest_from(start)?,
            });
        }
        Ok(newest)
    }

    /// Returns the first segment that reaches `from` and has a record with at least this timestamp, and the offset after it.
    fn segment_since(
        &self,
        timestamp: i64,
        from: Offset,
    ) -> io::Result<Option<(SegmentView, Offset)>> {
        let state = self.state.lock();
        let mut segments = state.segments.iter();
        let found = segments
            .find(|segment| segment.next() > from && segment.newest_timestamp() >= Some(timestamp));
        found
            .map(|segment| Ok((segment.view_since(timestamp)?, segment.next())))
            .transpose()
    }

    /// Calls `find` with the segment that holds `from`, and with those after it until it finds something: cleaning may have
    /// left nothing at `from`.
    fn find_from<T>(
        &self,
        from: Offset,
        find: impl Fn(&SegmentView) -> io::Result<Option<T>>,
    ) -> Result<(Option<T>, LogBounds), ReadError> {
        let mut next = from;
        loop {
            let (bounds, view) = {
                let state = self.state.lock();
                let bounds = state.bounds();
                if from < bounds.start || from > bounds.end {
                    return Err(ReadError::OutOfRange(bounds));
                }
                (bounds, view_at(&state, next)?)
            };
            let Some((view, end)) = view else {
                return Ok((None, bounds));
            };
            if let Some(found) = find(&view)? {
                return Ok((Some(found), bounds));
            }
            next = end;
        }
    }
}

/// Returns a view of the segment that holds `from`, and the offset after the segment; `None` at the end of the log.
fn view_at(state: &LogState, from: Offset) -> io::Result<Option<(SegmentView, Offset)>> {
    let holder = state.segments.partition_point(|s| s.next() <= from);
    let segment = state.segments.get(holder);
    segment
        .map(|segment| Ok((segment.view_at(from)?, segment.next())))
        .transpose()
}

/// Returns the first record of the view at or after `from` whose timestamp is at least `timestamp`.
fn first_since(view: &SegmentView, timestamp: i64, from: Offset) -> io::Result<Option<Stamp>> {
    let mut after = from;
    // The newest record of a batch may be a deleted one.
    while let Some((header, batch)) = view.batch_since(timestamp, after)? {
        let mut found = None;
        let read = record_reader::read_all(&header, &batch, MAX_DECOMPRESSED, |record| {
            let delta = i64::from(record.offset_delta);
            let at = record.timestamp(&header);
            let offset = Offset(header.base_offset.0.saturating_add(delta));
            if at >= timestamp && offset >= from {
                found = Some((at, offset));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if read.is_err() && found.is_none() && header.max_timestamp >= timestamp {
            // A batch of an earlier version whose records cannot be read is found as a whole.
            found = Some((header.max_timestamp, header.base_offset));
        }
        if found.is_some() {
            return Ok(found);
        }
        after = header.next_offset();
    }
    Ok(None)
}
