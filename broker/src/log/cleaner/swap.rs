//! Putting one file in the place of several so that a kill leaves either all of them or the one.
//!
//! The new file lies finished beside the first of the old ones. The decision is a small file, `swap`: base i64 and next
//! i64 in a journal entry. Once it is there, whoever opens the folder carries it out to its end.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::ids::Offset;
use crate::storage::journal::{Fields, entry, put_entry};
use crate::log::offset_index;
use crate::log::segment::Segment;
use crate::storage::{UNFINISHED, replace};

/// The segments from `base` on, up to the offset `next`, which is not theirs, become the one that is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Of the first segment, and of the one that takes its place.
    pub base: Offset,
    /// Of the segment behind the last.
    pub next: Offset,
}

const FILE: &str = "swap";

impl Swap {
    /// From now on it counts.
    pub fn decide(&self, folder: &Path) -> io::Result<()> {
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

    fn read(folder: &Path) -> io::Result<Option<Swap>> {
        let bytes = match fs::read(folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(entry(&bytes).and_then(|payload| {
            let mut fields = Fields(payload);
            Some(Swap {
                base: Offset(fields.i64()?),
                next: Offset(fields.i64()?),
            })
        }))
    }
}

/// Carries out what was decided, if anything was; doing it twice is as doing it once.
pub fn finish_swap(folder: &Path) -> io::Result<()> {
    let Some(swap) = Swap::read(folder)? else {
        return Ok(());
    };
    let log = folder.join(Segment::file_name(swap.base));
    let finished = log.with_extension(UNFINISHED);
    if finished.exists() {
        offset_index::remove(&log)?;
        fs::rename(&finished, &log)?;
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let base = Segment::base_of(&path);
        if base.is_some_and(|base| swap.base < base && base < swap.next) {
            offset_index::remove(&path)?;
            fs::remove_file(&path)?;
        }
    }
    fs::File::open(folder)?.sync_all()?;
    fs::remove_file(folder.join(FILE))
}
