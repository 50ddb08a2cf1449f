//! A partition: its segments behind one lock, held for an append or a look at the index, never while waiting.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use super::producers::{Producers, Refusal, Verdict};
use super::recovery::{Recovered, recover};
use super::segment::Segment;
use super::settings::Settings;
use super::transactions::Transactions;
use super::view::View;
use crate::embedded::Error;
use crate::embedded::batch::Header;
use crate::embedded::ids::Offset;
use crate::embedded::records;

/// A log of batches, appended at its end and read anywhere.
#[derive(Debug)]
pub struct Partition {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    /// In the order of their offsets; never empty; the last one is appended to.
    segments: Vec<Segment>,
    producers: Producers,
    /// Fetches to wake at the next append. Those whose fetch was answered meanwhile are dead.
    waiting: Vec<Weak<Notify>>,
    /// Where reading begins, if that is not the first segment's beginning.
    start: Offset,
    /// Set when the topic is deleted, so that a request still holding the partition writes nothing any more.
    deleted: bool,
}

/// The offsets that can be read: `start` is the first one kept, `end` the one that the next record gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The log start offset.
    pub start: Offset,
    /// The log end offset; on a single node also the high watermark.
    pub end: Offset,
    /// The last stable offset: the first record of an open transaction, or else the end.
    pub stable: Offset,
}

/// Where a batch is stored now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The first offset of the log.
    pub log_start: Offset,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The sequence numbers of an idempotent producer do not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The disk refused; the log is as before.
    #[error("cannot write the log")]
    Storage(#[from] io::Error),
}

/// Why records cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The offset lies beyond the high watermark.
    #[error("the offset is beyond the end")]
    OutOfRange,
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The disk refused; the log is as before.
    #[error("cannot delete records")]
    Storage(#[from] io::Error),
}

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

impl Partition {
    /// Opens the log in `folder`, making it when missing; a torn tail is cut.
    pub fn open(folder: &Path, settings: Settings) -> Result<Partition, Error> {
        let Recovered {
            segments,
            producers,
        } = recover(folder)?;
        Ok(Partition {
            folder: folder.to_owned(),
            state: Mutex::new(State {
                settings,
                segments,
                producers,
                waiting: Vec::new(),
                start: Offset(0),
                deleted: false,
            }),
        })
    }

    /// Stores one verified batch at the end of the log; a retry of an idempotent producer is not stored again.
    pub fn append(&self, header: &Header, batch: &[u8]) -> Result<Appended, AppendError> {
        let state = self.lock();
        if state.deleted {
            return Err(AppendError::Deleted);
        }
        let log_start = state.bounds().start;
        if let Verdict::Duplicate(base_offset) = state.producers.judge(header)? {
            return Ok(Appended {
                base_offset,
                log_start,
            });
        }
        let base_offset = self.store(state, header, batch)?;
        Ok(Appended {
            base_offset,
            log_start,
        })
    }

    /// Stores a coordinator's marker, which no rule for producers holds up.
    pub(super) fn append_marker(&self, header: &Header, batch: &[u8]) -> Result<(), AppendError> {
        let state = self.lock();
        if state.deleted {
            return Err(AppendError::Deleted);
        }
        self.store(state, header, batch)?;
        Ok(())
    }

    fn store(
        &self,
        mut state: MutexGuard<'_, State>,
        header: &Header,
        batch: &[u8],
    ) -> io::Result<Offset> {
        let base_offset = state.bounds().end;
        let segment_bytes = state.settings.segment_bytes;
        let active = state.active();
        if active.size() > 0 && active.size() + header.size as u64 > segment_bytes {
            let segment = Segment::create(&self.folder, base_offset)?;
            state.segments.push(segment);
        }
        state.active().append(header, batch, base_offset)?;
        state.producers.remember(header, batch, base_offset);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for fetch in waiting.iter().filter_map(Weak::upgrade) {
            fetch.notify_one();
        }
        Ok(base_offset)
    }

    /// From now on these settings hold.
    pub fn configure(&self, settings: Settings) {
        self.lock().settings = settings;
    }

    /// Bytes of all its batches.
    pub fn size(&self) -> u64 {
        self.lock().segments.iter().map(Segment::size).sum()
    }

    /// The offsets that can be read now.
    pub fn bounds(&self) -> Bounds {
        self.lock().bounds()
    }

    /// Wakes `fetch` at the next append. Register before looking, so that nothing falls in between.
    pub fn wake_on_append(&self, fetch: &Arc<Notify>) {
        let mut state = self.lock();
        let known = |waiting: &Weak<Notify>| std::ptr::eq(waiting.as_ptr(), Arc::as_ptr(fetch));
        if state.waiting.iter().any(known) {
            return;
        }
        // A quiet partition that is polled for long would otherwise collect the dead.
        if state.waiting.len() >= 16 {
            state.waiting.retain(|waiting| waiting.strong_count() > 0);
        }
        state.waiting.push(Arc::downgrade(fetch));
    }

    /// Bytes that a fetch at `from` could get from one segment.
    pub fn bytes_since(&self, from: Offset) -> Result<u64, ReadError> {
        match self.view_at(from)?.1 {
            Some(view) => Ok(view.bytes_since(from)?),
            None => Ok(0),
        }
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
        match self.view_at(from)? {
            (bounds, Some(view)) => Ok((view.read(from, max_bytes, at_least_one)?, bounds)),
            (bounds, None) => Ok((Bytes::new(), bounds)),
        }
    }

    /// The first record whose timestamp (ms) is at least `timestamp`, as timestamp and offset.
    ///
    /// Within a compressed batch, which is not opened, it is the batch's first offset.
    pub fn find_by_time(&self, timestamp: i64) -> io::Result<Option<(i64, Offset)>> {
        let view = {
            let state = self.lock();
            let segment = state
                .segments
                .iter()
                .find(|segment| segment.newest_timestamp() >= Some(timestamp));
            segment.map(|segment| segment.view_since(timestamp))
        };
        first_since(view, timestamp)
    }

    /// The record with the largest timestamp, as timestamp and offset; the first of them if several.
    pub fn find_newest(&self) -> io::Result<Option<(i64, Offset)>> {
        let (view, timestamp) = {
            let state = self.lock();
            let newest = state
                .segments
                .iter()
                .filter_map(|segment| Some((segment, segment.newest_timestamp()?)))
                .reduce(|a, b| if b.1 > a.1 { b } else { a });
            let Some((segment, timestamp)) = newest else {
                return Ok(None);
            };
            (segment.view_newest(), timestamp)
        };
        first_since(Some(view), timestamp)
    }

    /// Looks at what is known of transactions, or changes it.
    pub(super) fn with_transactions<T>(&self, f: impl FnOnce(&mut Transactions) -> T) -> T {
        f(&mut self.lock().producers.transactions)
    }

    /// Deletes the records before an offset, before the high watermark where none is given; the first one left.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset, DeleteError> {
        let mut state = self.lock();
        if state.deleted {
            return Err(DeleteError::Deleted);
        }
        let bounds = state.bounds();
        let before = before.unwrap_or(bounds.end);
        if before > bounds.end {
            return Err(DeleteError::OutOfRange);
        }
        state.start = bounds.start.max(before);
        Ok(state.start)
    }

    /// Takes the partition out of service and removes its files.
    pub fn delete(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.deleted = true;
        for fetch in state.waiting.drain(..).filter_map(|fetch| fetch.upgrade()) {
            fetch.notify_one();
        }
        fs::remove_dir_all(&self.folder)
    }

    /// Waits until the disk has everything.
    pub fn sync(&self) -> Result<(), Error> {
        let files: Vec<_> = {
            let state = self.lock();
            let files = state
                .segments
                .iter()
                .map(|segment| Arc::clone(segment.file()));
            files.collect()
        };
        let sync = || {
            files.iter().try_for_each(|file| file.sync_data())?;
            // The names of the files are the folder's.
            File::open(&self.folder)?.sync_all()
        };
        sync().map_err(Error::io("sync", &self.folder))
    }

    fn view_at(&self, from: Offset) -> Result<(Bounds, Option<View>), ReadError> {
        let state = self.lock();
        let bounds = state.bounds();
        if from < bounds.start || from > bounds.end {
            return Err(ReadError::OutOfRange(bounds));
        }
        let holder = state.segments.partition_point(|s| s.next() <= from);
        let segment = state.segments.get(holder);
        Ok((bounds, segment.map(|segment| segment.view_at(from))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn active(&mut self) -> &mut Segment {
        self.segments
            .last_mut()
            .expect("a partition has at least one segment")
    }

    fn bounds(&self) -> Bounds {
        let last = self.segments.len() - 1;
        let start = self.segments[0].base().max(self.start);
        let end = self.segments[last].next();
        let first_open = self.producers.transactions.first_open();
        Bounds {
            start,
            end,
            stable: first_open.map_or(end, |first| first.max(start)),
        }
    }
}

fn first_since(view: Option<View>, timestamp: i64) -> io::Result<Option<(i64, Offset)>> {
    let found = match view {
        Some(view) => view.batch_since(timestamp)?,
        None => None,
    };
    Ok(found.map(|(header, bytes)| {
        records::stamps(&header, &bytes)
            .and_then(|mut stamps| stamps.find(|(at, _)| *at >= timestamp))
            .unwrap_or((header.max_timestamp, header.base_offset))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::batch::{self, tests::Sample, tests::sample};

    fn open(folder: &Path) -> Partition {
        let settings = Settings {
            segment_bytes: 4 << 10,
            ..Settings::default()
        };
        Partition::open(folder, settings).unwrap()
    }

    fn append(partition: &Partition, count: i32, base_timestamp: i64) -> Offset {
        let bytes = sample(&Sample {
            count,
            base_timestamp,
            value_len: 100,
            ..Sample::default()
        });
        let header = batch::verify(&bytes).unwrap();
        partition.append(&header, &bytes).unwrap().base_offset
    }

    #[test]
    fn every_offset_reads_back_over_many_segments_and_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let partition = open(dir.path());
        for i in 0..100 {
            assert_eq!(append(&partition, 3, 1_000 + i * 10), Offset(i * 3));
        }
        assert!(fs::read_dir(dir.path()).unwrap().count() > 5);
        for partition in [partition, open(dir.path())] {
            assert_eq!(partition.bounds().end, Offset(300));
            for offset in 0..300 {
                let (bytes, _) = partition.read(Offset(offset), 1, true).unwrap();
                let header = batch::verify(&bytes).unwrap();
                assert!(header.base_offset.0 <= offset && offset <= header.last_offset().0);
            }
            assert!(partition.read(Offset(300), 1, true).unwrap().0.is_empty());
            assert!(matches!(
                partition.read(Offset(301), 1, true),
                Err(ReadError::OutOfRange(_))
            ));
        }
    }

    #[test]
    fn max_bytes_gives_whole_batches_only() {
        let dir = tempfile::tempdir().unwrap();
        let partition = open(dir.path());
        for _ in 0..4 {
            append(&partition, 1, 0);
        }
        let one = partition.read(Offset(0), 1, true).unwrap().0.len();
        let read = |max, at_least_one| {
            partition
                .read(Offset(1), max, at_least_one)
                .unwrap()
                .0
                .len()
        };
        assert_eq!(read(one * 2 + 5, false), one * 2);
        assert_eq!(read(one - 1, false), 0);
        assert_eq!(read(one - 1, true), one);
        assert_eq!(partition.bytes_since(Offset(1)).unwrap(), one as u64 * 3);
    }

    #[test]
    fn records_are_found_by_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let partition = open(dir.path());
        for i in 0..100 {
            append(&partition, 3, 1_000 + i * 10);
        }
        let at = |timestamp| partition.find_by_time(timestamp).unwrap();
        assert_eq!(at(0), Some((1_000, Offset(0))));
        assert_eq!(at(1_501), Some((1_501, Offset(151))));
        assert_eq!(at(1_503), Some((1_510, Offset(153))));
        assert_eq!(at(1_993), None);
        assert_eq!(partition.find_newest().unwrap(), Some((1_992, Offset(299))));
    }

    #[test]
    fn a_retry_is_not_stored_again_after_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = sample(&Sample {
            count: 2,
            producer: (5, 0, 0),
            ..Sample::default()
        });
        let header = batch::verify(&bytes).unwrap();
        for _ in 0..3 {
            let partition = open(dir.path());
            let stored = partition.append(&header, &bytes).unwrap();
            assert_eq!(stored.base_offset, Offset(0));
            assert_eq!(partition.bounds().end, Offset(2));
        }
    }
}
