//! One file of a partition's log: appending to it, and its sparse index by offset and by time, kept in memory and
//! rebuilt at start. It trusts its caller about offsets.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::view::View;
use crate::embedded::batch::{self, Header, PATCHED_LEN};
use crate::embedded::ids::Offset;

/// At most this many bytes lie between two entries of the index, but for a single larger batch.
pub const INDEX_INTERVAL: u64 = 4096;

/// A segment file, open for reading and appending.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    base: Offset,
    next: Offset,
    file: Arc<File>,
    /// Bytes of whole batches; what the file holds beyond is no part of the log.
    size: u64,
    index: Vec<Entry>,
    /// The largest timestamp within, ms, and where its batch begins; `None` while empty.
    newest: Option<(i64, u64)>,
}

/// "The first batch with an offset of at least `offset` begins at `position`."
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: Offset,
    position: u64,
    /// The largest timestamp of all batches before `position`, ms.
    newest_before: i64,
}

impl Segment {
    /// The name of the segment that begins at `base`: 20 digits, as in Kafka.
    pub fn file_name(base: Offset) -> String {
        format!("{:020}.log", base.0)
    }

    /// Begins a new file in `folder`, empty even if one of that name was there.
    pub fn create(folder: &Path, base: Offset) -> io::Result<Segment> {
        let path = folder.join(Segment::file_name(base));
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)?;
        Ok(Segment::of(path, base, file))
    }

    /// Opens an existing file as an empty segment; recovery then [`notes`](Segment::note) its batches.
    pub fn open(path: &Path, base: Offset) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Segment::of(path.to_owned(), base, file))
    }

    fn of(path: PathBuf, base: Offset, file: File) -> Segment {
        Segment {
            path,
            base,
            next: base,
            file: Arc::new(file),
            size: 0,
            index: Vec::new(),
            newest: None,
        }
    }

    /// The offset that the file is named by.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// The offset after its last record.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Bytes of its batches.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The largest timestamp of its records, ms.
    pub fn newest_timestamp(&self) -> Option<i64> {
        self.newest.map(|(timestamp, _)| timestamp)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Writes a batch at `base_offset`, with the two fields of the broker patched.
    ///
    /// # Errors
    ///
    /// After an error the segment is as before: the file is cut back to its whole batches.
    pub fn append(&mut self, header: &Header, batch: &[u8], base_offset: Offset) -> io::Result<()> {
        let head = batch::patched(batch, base_offset);
        if let Err(error) = write_both(&self.file, &head, &batch[PATCHED_LEN..]) {
            self.cut()?;
            return Err(error);
        }
        self.note(&Header {
            base_offset,
            ..*header
        });
        Ok(())
    }

    /// Takes a batch that the file holds at its end into size and index.
    pub fn note(&mut self, header: &Header) {
        let due = self
            .index
            .last()
            .is_none_or(|entry| self.size + header.size as u64 > entry.position + INDEX_INTERVAL);
        if due {
            self.index.push(Entry {
                offset: header.base_offset,
                position: self.size,
                newest_before: self.newest_timestamp().unwrap_or(i64::MIN),
            });
        }
        if self
            .newest
            .is_none_or(|(newest, _)| header.max_timestamp > newest)
        {
            self.newest = Some((header.max_timestamp, self.size));
        }
        self.size += header.size as u64;
        self.next = header.next_offset();
    }

    /// Removes whatever the file holds beyond the whole batches, and sets where the next write goes.
    pub fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.size)?;
        (&*self.file).seek(SeekFrom::Start(self.size))?;
        Ok(())
    }

    /// For reading at `offset`: begins at or shortly before the batch that holds it.
    pub fn view_at(&self, offset: Offset) -> View {
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        self.view_from(after)
    }

    /// For finding the first record that is not older than `timestamp` (ms).
    pub fn view_since(&self, timestamp: i64) -> View {
        let after = self
            .index
            .partition_point(|entry| entry.newest_before < timestamp);
        self.view_from(after)
    }

    /// For reading the batch with the largest timestamp.
    pub fn view_newest(&self) -> View {
        let position = self.newest.map_or(self.size, |(_, position)| position);
        self.view(position)
    }

    fn view_from(&self, entries_up_to: usize) -> View {
        let floor = entries_up_to.checked_sub(1).map(|i| self.index[i].position);
        self.view(floor.unwrap_or(0))
    }

    fn view(&self, position: u64) -> View {
        View::new(Arc::clone(&self.file), position, self.size)
    }
}

/// One system call in the usual case, and no copy of the batch.
fn write_both(mut file: &File, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() {
        match file.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_head = written.min(head.len());
                head = &head[of_head..];
                body = &body[written - of_head..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.write_all(body)
}
