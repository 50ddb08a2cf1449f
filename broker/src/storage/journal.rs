//! A journal: a file that decisions are appended to before they are acknowledged, so that a kill loses none.
//!
//! An entry is: length u32, CRC-32C u32 over the payload, payload. All integers are little-endian, strings have a u32
//! length in front. The owner of a journal decides what a payload means. Reading cuts off a torn entry at the end.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{failed_disk, read_if_exists};
use crate::Error;

/// A journal is rewritten once it is larger than this and than twice its size after the last rewrite.
const COMPACT_ABOVE: u64 = 4 << 20;
const ENTRY_HEADER_LEN: usize = 8;

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
    compacted_size: u64,
    /// Whether anything was appended since the last sync.
    dirty: bool,
    /// Whether a write failed and its bytes could not be cut off yet.
    torn: bool,
    /// Whether a sync failed, so that it is not known what the disk has.
    failed: bool,
}

impl Journal {
    /// Replaces the file by these entries, completely or not at all, and opens it for appending.
    pub(crate) fn rewrite(path: &Path, entries: &[u8]) -> Result<Journal, Error> {
        let new = path.with_extension("new");
        // The handle stays valid across the rename, so nothing can fail between the rename and the next append.
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
            tracing::warn!(path = %path.display(), %error, "cannot sync the folder of a journal: a power cut may bring back its old content");
        }
        let size = entries.len() as u64;
        Ok(Journal {
            path: path.to_owned(),
            file,
            size,
            compacted_size: size,
            dirty: false,
            torn: false,
            failed: false,
        })
    }

    /// Rewrites the file with `entries` if it has grown enough. A failure only costs space.
    pub(crate) fn compact_if_due(&mut self, entries: impl FnOnce() -> Vec<u8>) {
        if self.size <= COMPACT_ABOVE.max(self.compacted_size * 2) {
            return;
        }
        match Journal::rewrite(&self.path, &entries()) {
            Ok(journal) => *self = journal,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "cannot rewrite a journal");
                self.compacted_size = self.size;
            }
        }
    }

    /// Appends entries.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails, or if a sync has failed before. None of the entries counts then. If what was
    /// written of them cannot be cut off, nothing is appended before that succeeds: half an entry must not be followed by
    /// another one, because reading ends there.
    pub(crate) fn append(&mut self, entries: &[u8]) -> Result<(), Error> {
        if self.failed {
            return Err(Error::io("write", &self.path)(failed_disk()));
        }
        if self.torn {
            self.cut().map_err(Error::io("cut", &self.path))?;
        }
        if let Err(error) = self.file.write_all(entries) {
            self.torn = true;
            if let Err(error) = self.cut() {
                tracing::error!(path = %self.path.display(), %error, "cannot cut off a torn entry; the journal takes no other one before that");
            }
            return Err(Error::io("write", &self.path)(error));
        }
        self.size += entries.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Cuts off whatever follows the complete entries, and moves the write position there.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.size)?;
        self.file.seek(SeekFrom::Start(self.size))?;
        self.torn = false;
        Ok(())
    }

    /// Syncs everything that was appended.
    ///
    /// # Errors
    ///
    /// Returns an error if this or an earlier sync failed. The operating system may have dropped what it could not write,
    /// and would report success the next time. So the journal takes no more entries until it is opened again.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::io("sync", &self.path)(failed_disk()));
        }
        if self.dirty {
            let synced = self.file.sync_data();
            self.failed = synced.is_err();
            synced.map_err(Error::io("sync", &self.path))?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// Applies each payload of the file in order; stops before the first entry that is torn or that `apply` cannot read.
///
/// A missing file counts as empty.
pub(crate) fn replay(path: &Path, mut apply: impl FnMut(&[u8]) -> Option<()>) -> Result<(), Error> {
    let bytes = read_if_exists(path)?.unwrap_or_default();
    let mut at = 0;
    while let Some(payload) = read_entry(&bytes[at..]) {
        if apply(payload).is_none() {
            break;
        }
        at += ENTRY_HEADER_LEN + payload.len();
    }
    if at < bytes.len() {
        tracing::warn!(path = %path.display(), cut_bytes = bytes.len() - at, "cut off the torn end of a journal");
    }
    Ok(())
}

/// Returns the payload of the entry at the start of `bytes`, if the entry is complete and its checksum right.
pub(crate) fn read_entry(bytes: &[u8]) -> Option<&[u8]> {
    let (mut head, rest) = (
        FieldReader(bytes.get(..ENTRY_HEADER_LEN)?),
        &bytes[ENTRY_HEADER_LEN..],
    );
    let (length, crc) = (head.u32()?, head.u32()?);
    let payload = rest.get(..length as usize)?;
    (crc32c::crc32c(payload) == crc).then_some(payload)
}

/// Appends an entry whose payload is what `write` appends.
pub(crate) fn put_entry(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; ENTRY_HEADER_LEN]);
    write(out);
    let payload = &out[start + ENTRY_HEADER_LEN..];
    let (length, crc) = (payload.len() as u32, crc32c::crc32c(payload));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + ENTRY_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a string to a payload.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends bytes to a payload, with their length in front.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// Reads the fields of a payload from its front. Each method returns `None` if the payload ends too early.
#[derive(Debug)]
pub(crate) struct FieldReader<'a>(pub(crate) &'a [u8]);

impl FieldReader<'_> {
    /// Reads the next byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    /// Reads the next two bytes.
    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_le_bytes)
    }

    /// Reads the next four bytes.
    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    /// Reads the next four bytes.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// Reads the next eight bytes.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Reads the next eight bytes.
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    /// Reads the next string.
    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// Reads the next bytes that have their length in front.
    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.u32()? as usize;
        let bytes = self.0.get(..length)?;
        self.0 = &self.0[length..];
        Some(bytes.to_vec())
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
            numbers.push(FieldReader(payload).u32()?);
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
    fn after_a_failed_sync_it_takes_no_entries_until_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut journal = Journal::rewrite(&path, &of(1)).unwrap();
        journal.append(&of(2)).unwrap();
        // Syncing a device fails.
        let file = std::mem::replace(&mut journal.file, File::create("/dev/null").unwrap());
        journal.sync().unwrap_err();
        journal.file = file;
        for _ in 0..2 {
            let refused = journal.append(&of(3)).unwrap_err();
            assert!(matches!(
                refused,
                Error::Io {
                    action: "write",
                    ..
                }
            ));
            journal.sync().unwrap_err();
        }
        assert_eq!(numbers(&path), [1, 2]);
        let mut journal = Journal::rewrite(&path, &of(1)).unwrap();
        journal.append(&of(3)).unwrap();
        journal.sync().unwrap();
        assert_eq!(numbers(&path), [1, 3]);
    }

    #[test]
    fn a_torn_entry_that_cannot_be_cut_off_is_followed_by_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut journal = Journal::rewrite(&path, &of(1)).unwrap();
        journal.file.write_all(&of(2)[..5]).unwrap();
        journal.torn = true;
        // A file that is open for reading can be neither written nor cut.
        let file = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        let torn = fs::read(&path).unwrap();
        for _ in 0..2 {
            journal.append(&of(2)).unwrap_err();
            assert_eq!(fs::read(&path).unwrap(), torn);
        }
        journal.file = file;
        journal.append(&of(3)).unwrap();
        assert_eq!(numbers(&path), [1, 3]);
    }

    #[test]
    fn a_failed_compaction_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut journal = Journal::rewrite(&path, &of(1)).unwrap();
        // A folder takes the name of the new file.
        fs::create_dir(path.with_extension("new")).unwrap();
        journal.size = COMPACT_ABOVE + 1;
        journal.compact_if_due(Vec::new);
        journal.append(&of(2)).unwrap();
        assert_eq!(numbers(&path), [1, 2]);
    }
}
