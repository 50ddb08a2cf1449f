//! A file that only grows until it is compacted: how a decision is made to outlast a kill before it is answered.
//!
//! An entry: length u32, CRC-32C u32 over the payload, payload; all integers little-endian, strings with a u32 length
//! in front. What a payload says is its writer's affair. A torn entry at the end is cut when the file is read.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::storage::read_if_exists;

/// The file is compacted once it is larger than this and than twice what it was after the last time.
const COMPACT_ABOVE: u64 = 4 << 20;
const ENTRY_HEAD: usize = 8;

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
    compacted_size: u64,
    /// Something was appended since the last sync.
    dirty: bool,
}

impl Journal {
    /// Replaces the file by these entries, whole or not at all, and goes on at its end.
    pub fn rewrite(path: &Path, entries: &[u8]) -> Result<Journal, Error> {
        let new = path.with_extension("new");
        // The handle stays good over the rename: nothing can fail between the new file and writing to it.
        let replace = || -> io::Result<File> {
            let mut file = File::create(&new)?;
            file.write_all(entries)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            Ok(file)
        };
        let file = replace().map_err(Error::io("write", path))?;
        let folder = path
            .parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all());
        if let Err(error) = folder {
            tracing::warn!(path = %path.display(), %error, "a power cut may bring back the old file");
        }
        let size = entries.len() as u64;
        Ok(Journal {
            path: path.to_owned(),
            file,
            size,
            compacted_size: size,
            dirty: false,
        })
    }

    /// Rewrites the file if it has grown so much that it pays. A failure costs space and no more.
    pub fn compact_if_due(&mut self, entries: impl FnOnce() -> Vec<u8>) {
        if self.size <= COMPACT_ABOVE.max(self.compacted_size * 2) {
            return;
        }
        match Journal::rewrite(&self.path, &entries()) {
            Ok(journal) => *self = journal,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "a journal is not compacted");
                self.compacted_size = self.size;
            }
        }
    }

    /// Writes entries at the end.
    ///
    /// # Errors
    ///
    /// The disk refused; the file is as before.
    pub fn append(&mut self, entries: &[u8]) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(entries) {
            // What was written of it must not stand in front of the next entry.
            let cut = self.file.set_len(self.size);
            cut.and_then(|()| self.file.seek(SeekFrom::Start(self.size)))
                .map_err(Error::io("cut", &self.path))?;
            return Err(Error::io("write", &self.path)(error));
        }
        self.size += entries.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Waits until the disk has everything.
    pub fn sync(&mut self) -> Result<(), Error> {
        if self.dirty {
            self.file
                .sync_data()
                .map_err(Error::io("sync", &self.path))?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// Applies each payload of the file in its order; stops in front of the first that is torn or that `apply` cannot
/// read. A missing file is an empty one.
pub fn replay(path: &Path, mut apply: impl FnMut(&[u8]) -> Option<()>) -> Result<(), Error> {
    let bytes = read_if_exists(path)?.unwrap_or_default();
    let mut at = 0;
    while let Some(payload) = entry(&bytes[at..]) {
        if apply(payload).is_none() {
            break;
        }
        at += ENTRY_HEAD + payload.len();
    }
    if at < bytes.len() {
        tracing::warn!(path = %path.display(), cut_bytes = bytes.len() - at, "cut a torn tail");
    }
    Ok(())
}

/// The payload of the entry at the start of `bytes`, if it is whole.
pub fn entry(bytes: &[u8]) -> Option<&[u8]> {
    let (mut head, rest) = (Fields(bytes.get(..ENTRY_HEAD)?), &bytes[ENTRY_HEAD..]);
    let (length, crc) = (head.u32()?, head.u32()?);
    let payload = rest.get(..length as usize)?;
    (crc32c::crc32c(payload) == crc).then_some(payload)
}

/// Adds an entry whose payload is what `write` appends.
pub fn put_entry(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; ENTRY_HEAD]);
    write(out);
    let payload = &out[start + ENTRY_HEAD..];
    let (length, crc) = (payload.len() as u32, crc32c::crc32c(payload));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + ENTRY_HEAD].copy_from_slice(&crc.to_le_bytes());
}

/// Adds a string to a payload.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The fields of a payload, taken from its front; `None` where it ends too soon.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    /// The next two bytes.
    pub fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_le_bytes)
    }

    /// The next four bytes.
    pub fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// The next eight bytes.
    pub fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    /// The next string.
    pub fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let text = self.0.get(..length)?;
        self.0 = &self.0[length..];
        String::from_utf8(text.to_vec()).ok()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(path: &Path) -> Vec<u32> {
        let mut numbers = Vec::new();
        let read = replay(path, |payload| {
            numbers.push(Fields(payload).u32()?);
            Some(())
        });
        read.unwrap();
        numbers
    }

    fn of(number: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, |payload| payload.extend(number.to_le_bytes()));
        bytes
    }

    #[test]
    fn it_is_compacted_as_it_grows_and_goes_on_behind_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        assert!(numbers(&path).is_empty());
        let mut journal = Journal::rewrite(&path, &[]).unwrap();
        let mut compactions = 0;
        for number in 0..400_000 {
            journal.append(&of(number)).unwrap();
            journal.compact_if_due(|| {
                compactions += 1;
                of(number)
            });
        }
        assert_eq!(compactions, 1);
        let kept = numbers(&path);
        assert_eq!(
            (kept.len() as u64 * 12, kept.last()),
            (journal.size, Some(&399_999))
        );
        assert!(kept.is_sorted_by(|a, b| a + 1 == *b));
    }

    #[test]
    fn a_failed_compaction_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut journal = Journal::rewrite(&path, &of(1)).unwrap();
        // The place of the new file is taken.
        fs::create_dir(path.with_extension("new")).unwrap();
        journal.size = COMPACT_ABOVE + 1;
        journal.compact_if_due(Vec::new);
        journal.append(&of(2)).unwrap();
        assert_eq!(numbers(&path), [1, 2]);
    }
}
