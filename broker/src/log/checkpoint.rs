//! What a partition knew at one moment, in a file beside its segments, so that a start reads only what came after.
//!
//! The file `checkpoint` is one journal entry (length, CRC-32C, payload), replaced as a whole: version u8, log start i64,
//! compacted-to i64, the base i64 of the segment that was appended to, its [`Summary`], its index entries behind their
//! count u32, then the producers. It is written every so many bytes, when a segment begins, and at an orderly end.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::offset_index::{Entry, Summary};
use super::producer_state::Producers;
use crate::ids::Offset;
use crate::storage::journal::{Fields, entry, put_entry};
use crate::storage::{replace, sync_folder_of};

const VERSION: u8 = 1;

/// The content of the file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Records before it were deleted, even where their segment is there.
    pub log_start: Offset,
    /// Compaction has been here.
    pub compacted_to: Offset,
    /// The segment that was appended to.
    pub base: Offset,
    /// Of that segment, up to the moment.
    pub summary: Summary,
    /// Likewise.
    pub index: Vec<Entry>,
    /// As of the last batch of the summary.
    pub producers: Producers,
}

/// Whether a write must outlast a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It must.
    Now,
    /// Losing it costs a longer start.
    Later,
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

impl Checkpoint {
    /// Replaces the file in `folder`.
    pub fn write(&self, folder: &Path, sync: Sync) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| self.put(payload));
        let path = path_in(folder);
        replace(&path, |file| {
            file.write_all(&bytes)?;
            match sync {
                Sync::Now => file.sync_all(),
                Sync::Later => Ok(()),
            }
        })?;
        match sync {
            Sync::Now => sync_folder_of(&path),
            Sync::Later => Ok(()),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        for offset in [self.log_start, self.compacted_to, self.base] {
            out.extend(offset.0.to_le_bytes());
        }
        self.summary.put(out);
        out.extend((self.index.len() as u32).to_le_bytes());
        self.index.iter().for_each(|entry| entry.put(out));
        self.producers.put(self.log_start, out);
    }
}

/// What the file in `folder` says; `None` if there is none, or none that can be read.
pub fn read(folder: &Path) -> Option<Checkpoint> {
    let path = path_in(folder);
    let bytes = fs::read(&path).ok()?;
    let read = entry(&bytes).and_then(|payload| parse(&mut Fields(payload)));
    if read.is_none() {
        tracing::warn!(path = %path.display(), "a checkpoint that cannot be read: the whole log is");
    }
    read
}

fn parse(fields: &mut Fields<'_>) -> Option<Checkpoint> {
    if fields.u8()? != VERSION {
        return None;
    }
    let [log_start, compacted_to, base] = [fields.i64()?, fields.i64()?, fields.i64()?].map(Offset);
    let summary = Summary::read(fields)?;
    let count = fields.u32()?;
    let index = (0..count).map(|_| Entry::read(fields));
    let index = index.collect::<Option<Vec<_>>>()?;
    Some(Checkpoint {
        log_start,
        compacted_to,
        base,
        summary,
        index,
        producers: Producers::read(fields)?,
    })
}
