//! A segment: one file of a log, which is appended to and searched. It trusts its caller about offsets.
//!
//! A segment that grows keeps its file open and its index in memory. A [sealed](LogSegment::seal) one only keeps its
//! summary, so that a large log needs neither memory nor file descriptors.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    offset_index::{self, IndexEntry, OffsetIndex, SegmentSummary},
    segment_view::SegmentView,
};
use crate::{
    clock::{now_ms, to_ms},
    ids::Offset,
    record::batch::{self, PATCHED_LEN, RecordBatchHeader},
};

/// A segment of a log.
#[derive(Debug)]
pub(crate) struct LogSegment {
    path: PathBuf,
    base: Offset,
    summary: SegmentSummary,
    /// When this process created or opened the segment (ms).
    opened_at: i64,
    content: SegmentContent,
}

#[derive(Debug)]
enum SegmentContent {
    Open(OpenSegment),
    /// The file and its index file are on disk.
    Sealed,
}

/// The open file of a segment that is not sealed.
#[derive(Clone, Debug)]
pub(crate) struct OpenSegment {
    /// The file, for reading and writing.
    pub(crate) file: Arc<File>,
    /// The index of the batches in the file.
    pub(crate) index: OffsetIndex,
    /// Whether a write failed and its bytes could not be removed yet.
    torn: bool,
}

impl LogSegment {
    /// Returns the file name of the segment that begins at `base`: 20 digits, as in Kafka.
    pub(crate) fn file_name(base: Offset) -> String {
        format!("{:020}.log", base.0)
    }

    /// Returns the base offset in a [`file_name`](LogSegment::file_name), or `None` for other files.
    pub(crate) fn base_of(path: &Path) -> Option<Offset> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".log")?.parse().ok().map(Offset)
    }

    /// Creates an empty segment in `folder`. Replaces a file of the same name.
    pub(crate) fn create(folder: &Path, base: Offset) -> io::Result<LogSegment> {
        let path = folder.join(LogSegment::file_name(base));
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).read(true).write(true);
        let file = options.open(&path)?;
        Ok(LogSegment::of(
            path,
            base,
            SegmentSummary::empty(base),
            OffsetIndex::default(),
            file,
        ))
    }

    /// Opens a file whose batches are known up to the summary; recovery then [adds](LogSegment::add) the others.
    pub(crate) fn open(
        path: &Path,
        base: Offset,
        summary: SegmentSummary,
        index: OffsetIndex,
    ) -> io::Result<LogSegment> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(LogSegment::of(path.to_owned(), base, summary, index, file))
    }

    fn of(
        path: PathBuf,
        base: Offset,
        summary: SegmentSummary,
        index: OffsetIndex,
        file: File,
    ) -> LogSegment {
        let content = SegmentContent::Open(OpenSegment {
            file: Arc::new(file),
            index,
            torn: false,
        });
        LogSegment {
            path,
            base,
            summary,
            opened_at: now_ms(),
            content,
        }
    }

    /// Returns a sealed segment whose index file has this summary.
    pub(crate) fn sealed(path: PathBuf, base: Offset, summary: SegmentSummary) -> LogSegment {
        LogSegment {
            path,
            base,
            summary,
            opened_at: now_ms(),
            content: SegmentContent::Sealed,
        }
    }

    /// Returns the base offset, which names the file.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Returns the summary.
    pub(crate) fn summary(&self) -> &SegmentSummary {
        &self.summary
    }

    /// Returns the offset after the last record.
    pub(crate) fn next(&self) -> Offset {
        self.summary.next
    }

    /// Returns the size of the batches in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.summary.size
    }

    /// Returns the largest timestamp of the records (ms), which is negative if they have none.
    pub(crate) fn newest_timestamp(&self) -> Option<i64> {
        self.summary.newest
    }

    /// Returns the time from which the age of the whole segment counts (ms): that of its newest record, or of the last
    /// write to the file if no record has a timestamp (Kafka's `LogSegment.largestTimestamp`). `None` if it is empty.
    pub(crate) fn newest_time(&self) -> io::Result<Option<i64>> {
        match self.summary.newest {
            Some(..0) => fs::metadata(&self.path)?.modified().map(to_ms).map(Some),
            newest => Ok(newest),
        }
    }

    /// Returns the time from which the age of a segment that grows counts (ms): that of its first batch, or when it was
    /// opened if that batch has no timestamp (Kafka's `LogSegment.timeWaitedForRoll`). `None` if it is empty.
    pub(crate) fn first_time(&self) -> Option<i64> {
        self.summary.first.map(|first| match first {
            ..0 => self.opened_at,
            _ => first,
        })
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file and the index, unless the segment is sealed.
    pub(crate) fn opened(&self) -> Option<&OpenSegment> {
        match &self.content {
            SegmentContent::Open(open) => Some(open),
            SegmentContent::Sealed => None,
        }
    }

    /// Closes the file and drops the index, which [`OffsetIndex::write`] has written before.
    pub(crate) fn seal(&mut self) {
        self.content = SegmentContent::Sealed;
    }

    /// Appends a batch with `base_offset`.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails. The segment is then as before, because a half-written batch is cut off.
    pub(crate) fn append(
        &mut self,
        header: &RecordBatchHeader,
        batch: &[u8],
        base_offset: Offset,
    ) -> io::Result<()> {
        let prefix = batch::patched_prefix(batch, base_offset);
        if self.opened().is_some_and(|open| open.torn) {
            self.cut()?;
        }
        if let Err(error) = write_both(self.file()?, &prefix, &batch[PATCHED_LEN..]) {
            if let SegmentContent::Open(open) = &mut self.content {
                open.torn = true;
            }
            self.cut()?;
            return Err(error);
        }
        self.add(&RecordBatchHeader {
            base_offset,
            ..*header
        });
        Ok(())
    }

    /// Adds a batch, which is at the end of the file, to the summary and the index.
    pub(crate) fn add(&mut self, header: &RecordBatchHeader) {
        if let SegmentContent::Open(OpenSegment { index, .. }) = &mut self.content {
            index.add(&self.summary, header);
        }
        self.summary.add(header);
    }

    /// Cuts off whatever follows the complete batches of the file, and moves the write position to their end.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        let mut file = self.file()?;
        file.set_len(self.size())?;
        file.seek(SeekFrom::Start(self.size()))?;
        if let SegmentContent::Open(open) = &mut self.content {
            open.torn = false;
        }
        Ok(())
    }

    /// Removes the files of the segment. Existing views can still be read.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // The index file goes first, or else it could match a later log file with the same name and size.
        offset_index::remove(&self.path)?;
        fs::remove_file(&self.path)
    }

    fn file(&self) -> io::Result<&File> {
        match &self.content {
            SegmentContent::Open(open) => Ok(&open.file),
            SegmentContent::Sealed => Err(io::Error::other("cannot write to a sealed segment")),
        }
    }

    /// Returns a view that begins at or shortly before the batch with `offset`.
    pub(crate) fn view_at(&self, offset: Offset) -> io::Result<SegmentView> {
        self.view_where(|entry| entry.offset <= offset)
    }

    /// Returns a view that begins before the first record that is not older than `timestamp` (ms).
    pub(crate) fn view_since(&self, timestamp: i64) -> io::Result<SegmentView> {
        self.view_where(|entry| entry.newest_before < timestamp)
    }

    /// Returns a view of the whole segment.
    fn view_all(&self) -> io::Result<SegmentView> {
        self.view(0)
    }

    fn view_where(&self, holds: impl Fn(&IndexEntry) -> bool) -> io::Result<SegmentView> {
        if let SegmentContent::Open(OpenSegment { index, .. }) = &self.content {
            return self.view(index.last_where(holds).map_or(0, |entry| entry.position));
        }
        let found = offset_index::last_where(&self.path, holds);
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "cannot read the index file; reading the segment from its start");
            None
        });
        let Some(entry) = found else {
            return self.view_all();
        };
        let view = self.view(entry.position)?;
        match view.begins_at(entry.offset) {
            true => Ok(view),
            false => self.view_all(),
        }
    }

    fn view(&self, position: u64) -> io::Result<SegmentView> {
        let file = match &self.content {
            SegmentContent::Open(open) => Arc::clone(&open.file),
            SegmentContent::Sealed => Arc::new(File::open(&self.path)?),
        };
        Ok(SegmentView::new(file, position, self.size()))
    }
}

/// Writes the prefix and the rest of a batch: usually with one system call, and without copying the batch.
fn write_both(mut file: &File, mut prefix: &[u8], mut rest: &[u8]) -> io::Result<()> {
    while !prefix.is_empty() {
        match file.write_vectored(&[IoSlice::new(prefix), IoSlice::new(rest)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_prefix = written.min(prefix.len());
                prefix = &prefix[of_prefix..];
                rest = &rest[written - of_prefix..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.write_all(rest)
}
