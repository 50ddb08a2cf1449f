//! One file of a partition's log: appending to it, and finding in it. It trusts its caller about offsets.
//!
//! A segment that grows holds its file and its index open. A closed one that is [sealed](Segment::seal) holds nothing
//! but its summary, so that a large log costs neither memory nor file handles.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::offset_index::{self, Entry, Summary};
use super::segment_view::View;
use crate::record::batch::{self, Header, PATCHED_LEN};
use crate::ids::Offset;

/// A segment file.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    base: Offset,
    summary: Summary,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Open(Open),
    /// On the disk, with an index file beside it.
    Sealed,
}

/// A file that may grow, or that has not been sealed since.
#[derive(Clone, Debug)]
pub struct Open {
    /// For reading and writing.
    pub file: Arc<File>,
    /// Sparse, in the order of the positions.
    pub index: Vec<Entry>,
    /// A write failed, and what it left could not be removed yet.
    torn: bool,
}

impl Segment {
    /// The name of the segment that begins at `base`: 20 digits, as in Kafka.
    pub fn file_name(base: Offset) -> String {
        format!("{:020}.log", base.0)
    }

    /// What [`file_name`](Segment::file_name) was given; `None` for other files.
    pub fn base_of(path: &Path) -> Option<Offset> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".log")?.parse().ok().map(Offset)
    }

    /// Begins a new file in `folder`, empty even if one of that name was there.
    pub fn create(folder: &Path, base: Offset) -> io::Result<Segment> {
        let path = folder.join(Segment::file_name(base));
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).read(true).write(true);
        let file = options.open(&path)?;
        Ok(Segment::of(
            path,
            base,
            Summary::empty(base),
            Vec::new(),
            file,
        ))
    }

    /// Opens an existing file of which this much is known; recovery then [`notes`](Segment::note) the rest.
    pub fn open(
        path: &Path,
        base: Offset,
        summary: Summary,
        index: Vec<Entry>,
    ) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Segment::of(path.to_owned(), base, summary, index, file))
    }

    fn of(path: PathBuf, base: Offset, summary: Summary, index: Vec<Entry>, file: File) -> Segment {
        let content = Content::Open(Open {
            file: Arc::new(file),
            index,
            torn: false,
        });
        Segment {
            path,
            base,
            summary,
            content,
        }
    }

    /// A closed segment whose index file says this.
    pub fn sealed(path: PathBuf, base: Offset, summary: Summary) -> Segment {
        Segment {
            path,
            base,
            summary,
            content: Content::Sealed,
        }
    }

    /// The offset that the file is named by.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// What is known of it.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The offset after its last record.
    pub fn next(&self) -> Offset {
        self.summary.next
    }

    /// Bytes of its batches.
    pub fn size(&self) -> u64 {
        self.summary.size
    }

    /// The largest timestamp of its records, ms.
    pub fn newest_timestamp(&self) -> Option<i64> {
        self.summary.newest
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// File and index, until it is sealed.
    pub fn opened(&self) -> Option<&Open> {
        match &self.content {
            Content::Open(open) => Some(open),
            Content::Sealed => None,
        }
    }

    /// Lets go of file and index, which [`offset_index::write`] has put beside it.
    pub fn seal(&mut self) {
        self.content = Content::Sealed;
    }

    /// Writes a batch at `base_offset`, with the two fields of the broker patched.
    ///
    /// # Errors
    ///
    /// After an error the segment is as before: the file is cut back to its whole batches.
    pub fn append(&mut self, header: &Header, batch: &[u8], base_offset: Offset) -> io::Result<()> {
        let head = batch::patched(batch, base_offset);
        if self.opened().is_some_and(|open| open.torn) {
            self.cut()?;
        }
        if let Err(error) = write_both(self.file()?, &head, &batch[PATCHED_LEN..]) {
            if let Content::Open(open) = &mut self.content {
                open.torn = true;
            }
            self.cut()?;
            return Err(error);
        }
        self.note(&Header {
            base_offset,
            ..*header
        });
        Ok(())
    }

    /// Takes a batch that the file holds at its end into summary and index.
    pub fn note(&mut self, header: &Header) {
        if let Content::Open(Open { index, .. }) = &mut self.content {
            offset_index::note(index, &self.summary, header);
        }
        self.summary.note(header);
    }

    /// Removes whatever the file holds beyond the whole batches, and sets where the next write goes.
    pub fn cut(&mut self) -> io::Result<()> {
        let mut file = self.file()?;
        file.set_len(self.size())?;
        file.seek(SeekFrom::Start(self.size()))?;
        if let Content::Open(open) = &mut self.content {
            open.torn = false;
        }
        Ok(())
    }

    /// Removes its files. Whoever has a view of it may go on reading.
    pub fn remove(&self) -> io::Result<()> {
        // The index first: one without its log would be believed of a later log of that name and size.
        offset_index::remove(&self.path)?;
        fs::remove_file(&self.path)
    }

    fn file(&self) -> io::Result<&File> {
        match &self.content {
            Content::Open(open) => Ok(&open.file),
            Content::Sealed => Err(io::Error::other("a sealed segment takes no more")),
        }
    }

    /// For reading at `offset`: begins at or shortly before the batch that holds it.
    pub fn view_at(&self, offset: Offset) -> io::Result<View> {
        self.view_where(|entry| entry.offset <= offset)
    }

    /// For finding the first record that is not older than `timestamp` (ms).
    pub fn view_since(&self, timestamp: i64) -> io::Result<View> {
        self.view_where(|entry| entry.newest_before < timestamp)
    }

    /// For reading all of it.
    fn view_all(&self) -> io::Result<View> {
        self.view(0)
    }

    fn view_where(&self, holds: impl Fn(&Entry) -> bool) -> io::Result<View> {
        if let Content::Open(Open { index, .. }) = &self.content {
            let after = index.partition_point(holds);
            return self.view(after.checked_sub(1).map_or(0, |i| index[i].position));
        }
        let found = offset_index::last_where(&self.path, holds);
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "read without its index");
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

    fn view(&self, position: u64) -> io::Result<View> {
        let file = match &self.content {
            Content::Open(open) => Arc::clone(&open.file),
            Content::Sealed => Arc::new(File::open(&self.path)?),
        };
        Ok(View::new(file, position, self.size()))
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
