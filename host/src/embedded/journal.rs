//! A file that only grows until it is compacted: how a decision is made to outlast a kill before it is answered.
//!
//! An entry: length u32, CRC-32C u32 over the payload, payload; all integers little-endian, strings with a u32 length
//! in front. What a payload says is its writer's affair. A torn entry at the end is cut when the file is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::storage::{read_if_exists, write_whole};

/// The file is due for compaction once it is larger than this and than twice what it was after the last time.
const COMPACT_ABOVE: u64 = 4 << 20;
const ENTRY_HEAD: usize = 8;

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
    compacted_size: u64,
}

impl Journal {
    /// Replaces the file by these entries, whole or not at all, and opens it at its end.
    pub fn rewrite(path: &Path, entries: &[u8]) -> Result<Journal, Error> {
        write_whole(path, entries)?;
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let size = entries.len() as u64;
        Ok(Journal {
            path: path.to_owned(),
            file: open().map_err(Error::io("open", path))?,
            size,
            compacted_size: size,
        })
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
        Ok(())
    }

    /// Whether it has grown so much that a rewrite pays.
    pub fn is_due(&self) -> bool {
        self.size > COMPACT_ABOVE.max(self.compacted_size * 2)
    }

    /// Waits until the disk has everything.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
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

fn entry(bytes: &[u8]) -> Option<&[u8]> {
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
