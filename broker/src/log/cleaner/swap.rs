//! Replacing several segments by one, so that a kill leaves either all of the old ones or the new one.
//!
//! First the new file is complete beside the first of the old ones. Then the small file `swap` decides the replacement: a
//! journal entry with the base offset i64 and the next offset i64. Once that file exists, opening the folder finishes the
//! replacement.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use crate::{
    ids::Offset,
    log::{offset_index, segment::LogSegment},
    storage::{
        UNFINISHED,
        journal::{FieldReader, put_entry, read_entry},
        replace,
    },
};

/// The replacement of the segments from `base` up to, but not including, `next` by one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSwap {
    /// The base offset of the first segment, and of the one that replaces it.
    pub(crate) base: Offset,
    /// The base offset of the segment after the last one.
    pub(crate) next: Offset,
}

const FILE: &str = "swap";

impl SegmentSwap {
    /// Makes the replacement final.
    pub(crate) fn decide(&self, folder: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| {
            payload.extend(self.base.0.to_le_bytes());
            payload.extend(self.next.0.to_le_bytes());
        });
        replace(&folder.join(FILE), |file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
    }

    fn read(folder: &Path) -> io::Result<Option<SegmentSwap>> {
        let bytes = match fs::read(folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(read_entry(&bytes).and_then(|payload| {
            let mut fields = FieldReader(payload);
            Some(SegmentSwap {
                base: Offset(fields.i64()?),
                next: Offset(fields.i64()?),
            })
        }))
    }
}

/// Finishes a replacement that was decided, if there is one. Doing it twice does no harm.
pub(crate) fn finish_swap(folder: &Path) -> io::Result<()> {
    let Some(swap) = SegmentSwap::read(folder)? else {
        return Ok(());
    };
    let log = folder.join(LogSegment::file_name(swap.base));
    let finished = log.with_extension(UNFINISHED);
    if finished.exists() {
        offset_index::remove(&log)?;
        fs::rename(&finished, &log)?;
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let base = LogSegment::base_of(&path);
        if base.is_some_and(|base| swap.base < base && base < swap.next) {
            offset_index::remove(&path)?;
            fs::remove_file(&path)?;
        }
    }
    fs::File::open(folder)?.sync_all()?;
    fs::remove_file(folder.join(FILE))
}
