//! Checkpoints: the state of a log at one moment, in a file beside its segments, so that a start only reads what came after.
//!
//! The file `checkpoint` is one journal entry (length, CRC-32C, payload) and is replaced as a whole: version u8, log start
//! i64, cleaned-to offset i64, base offset i64 of the active segment, its [`SegmentSummary`], the number u32 of its index
//! entries and the entries, then the producer state, and a byte 1, which earlier versions neither wrote nor read: they took
//! the timestamps of summary and index from the headers, where some producers leave them out. It is written after a
//! certain number of bytes, when a segment begins, and at an orderly shutdown.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    offset_index::{OffsetIndex, SegmentSummary},
    producer_state::ProducerStateManager,
};
use crate::{
    ids::Offset,
    storage::{
        journal::{FieldReader, put_entry, read_entry},
        replace, sync_folder_of,
    },
};

const VERSION: u8 = 1;

/// The content of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// The log start offset: records before it are deleted, even if their segment still exists.
    pub(crate) log_start: Offset,
    /// The offset up to which the log has been cleaned.
    pub(crate) cleaned_to: Offset,
    /// The base offset of the active segment, to which batches are appended.
    pub(crate) base: Offset,
    /// The summary of that segment at the time of the checkpoint.
    pub(crate) summary: SegmentSummary,
    /// The index of that segment at the time of the checkpoint.
    pub(crate) index: OffsetIndex,
    /// The producer state after the last batch of the summary.
    pub(crate) producers: ProducerStateManager,
    /// Whether summary and index know the timestamps of records whose header has none.
    pub(crate) has_known_times: bool,
}

/// Whether a checkpoint must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// It must, so it is synced.
    Now,
    /// It need not: without it, the next start only takes longer.
    Later,
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

impl Checkpoint {
    /// Writes the checkpoint to `folder`.
    pub(crate) fn write(&self, folder: &Path, sync: SyncMode) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| self.put(payload));
        let path = path_in(folder);
        replace(&path, |file| {
            file.write_all(&bytes)?;
            match sync {
                SyncMode::Now => file.sync_all(),
                SyncMode::Later => Ok(()),
            }
        })?;
        match sync {
            SyncMode::Now => sync_folder_of(&path),
            SyncMode::Later => Ok(()),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        for offset in [self.log_start, self.cleaned_to, self.base] {
            out.extend(offset.0.to_le_bytes());
        }
        self.summary.put(out);
        self.index.put(out);
        self.producers.put(self.log_start, out);
        out.push(u8::from(self.has_known_times));
    }
}

/// Reads the checkpoint in `folder`, or returns `None` if there is none or it cannot be read.
pub(crate) fn read(folder: &Path) -> Option<Checkpoint> {
    let path = path_in(folder);
    let bytes = fs::read(&path).ok()?;
    let read = read_entry(&bytes).and_then(|payload| parse(&mut FieldReader(payload)));
    if read.is_none() {
        tracing::warn!(path = %path.display(), "cannot read the checkpoint; reading the whole log instead");
    }
    read
}

fn parse(fields: &mut FieldReader<'_>) -> Option<Checkpoint> {
    if fields.u8()? != VERSION {
        return None;
    }
    let [log_start, cleaned_to, base] = [fields.i64()?, fields.i64()?, fields.i64()?].map(Offset);
    let summary = SegmentSummary::read(fields)?;
    let index = OffsetIndex::read(fields)?;
    Some(Checkpoint {
        log_start,
        cleaned_to,
        base,
        summary,
        index,
        producers: ProducerStateManager::read(fields)?,
        has_known_times: fields.u8() == Some(1),
    })
}
