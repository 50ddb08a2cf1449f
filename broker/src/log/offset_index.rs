//! The sparse index of a segment by offset and by time: in memory while the segment grows, in a file of its own once it
//! is closed.
//!
//! The file, `*.index` beside `*.log`, all integers little-endian: magic u32, CRC-32C u32 over the rest of the head,
//! then the [`Summary`] of the segment and the count of entries u64; behind the head 24 bytes an entry. An entry is
//! believed only if the batch that it names is there, so the entries need no checksum and are never read as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::record::batch::Header;
use crate::ids::Offset;
use crate::storage::journal::Fields;
use crate::storage::replace;

/// At most this many bytes lie between two entries of the index, but for a single larger batch.
pub const INTERVAL: u64 = 4096;

const MAGIC: u32 = 0x4556_4932;
const HEAD: usize = 8 + Summary::SIZE + 8;
const ENTRY: usize = 24;

/// What must be known of a segment without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of whole batches; what the file holds beyond is no part of the log.
    pub size: u64,
    /// The offset after its last record.
    pub next: Offset,
    /// The largest timestamp of its first batch, ms; `None` while empty. Its age is counted from it.
    pub first: Option<i64>,
    /// The largest timestamp within, ms; `None` while empty.
    pub newest: Option<i64>,
}

/// "The first batch with an offset of at least `offset` begins at `position`."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the batch's first record.
    pub offset: Offset,
    /// Where in the file.
    pub position: u64,
    /// The largest timestamp of all batches before `position`, ms.
    pub newest_before: i64,
}

impl Summary {
    /// Bytes of it in a file.
    pub const SIZE: usize = 33;

    /// Of an empty segment that begins at `base`.
    pub fn empty(base: Offset) -> Summary {
        Summary {
            size: 0,
            next: base,
            first: None,
            newest: None,
        }
    }

    /// With one more batch at the end.
    pub fn note(&mut self, header: &Header) {
        self.first.get_or_insert(header.max_timestamp);
        self.newest = self.newest.max(Some(header.max_timestamp));
        self.size += header.size as u64;
        self.next = header.next_offset();
    }

    /// Appends it to `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.newest.is_some()));
        out.extend(self.size.to_le_bytes());
        out.extend(self.next.0.to_le_bytes());
        out.extend(self.first.unwrap_or_default().to_le_bytes());
        out.extend(self.newest.unwrap_or_default().to_le_bytes());
    }

    /// Takes what [`put`](Summary::put) appended from the front.
    pub fn read(fields: &mut Fields<'_>) -> Option<Summary> {
        let has_records = fields.u8()? != 0;
        let (size, next) = (fields.u64()?, Offset(fields.i64()?));
        let (first, newest) = (fields.i64()?, fields.i64()?);
        Some(Summary {
            size,
            next,
            first: has_records.then_some(first),
            newest: has_records.then_some(newest),
        })
    }
}

impl Entry {
    /// Appends it to `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.0.to_le_bytes());
        out.extend(self.position.to_le_bytes());
        out.extend(self.newest_before.to_le_bytes());
    }

    /// Takes what [`put`](Entry::put) appended from the front.
    pub fn read(fields: &mut Fields<'_>) -> Option<Entry> {
        Some(Entry {
            offset: Offset(fields.i64()?),
            position: fields.u64()?,
            newest_before: fields.i64()?,
        })
    }
}

/// Enters a batch that comes behind all that the summary tells of, if the last entry is far enough away.
pub fn note(index: &mut Vec<Entry>, before: &Summary, header: &Header) {
    let end = before.size + header.size as u64;
    let last = index.last();
    if last.is_none_or(|entry| end > entry.position + INTERVAL) {
        index.push(Entry {
            offset: header.base_offset,
            position: before.size,
            newest_before: before.newest.unwrap_or(i64::MIN),
        });
    }
}

/// Where the index of a log file is.
fn path_of(log: &Path) -> PathBuf {
    log.with_extension("index")
}

/// Writes the index of a closed log file. Its bytes must be on the disk before: whoever finds the index trusts them.
pub fn write(log: &Path, summary: &Summary, entries: &[Entry]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD + entries.len() * ENTRY);
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend([0; 4]);
    summary.put(&mut bytes);
    bytes.extend((entries.len() as u64).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    for entry in entries {
        entry.put(&mut bytes);
    }
    replace(&path_of(log), |file| file.write_all(&bytes))
}

/// Removes the index of a log file; that there is none is as well.
pub fn remove(log: &Path) -> io::Result<()> {
    match std::fs::remove_file(path_of(log)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the index says of a log file of `log_size` bytes; `None` if there is none that fits it.
pub fn summary(log: &Path, log_size: u64) -> Option<Summary> {
    let (summary, _) = open(log).ok()?.1;
    (summary.size == log_size).then_some(summary)
}

/// The last entry for which `holds`, which must hold for all before it too; `None` if for none.
pub fn last_where(log: &Path, holds: impl Fn(&Entry) -> bool) -> io::Result<Option<Entry>> {
    let (file, (_, count)) = open(log)?;
    let entry = |i: u64| {
        let mut bytes = [0; ENTRY];
        file.read_exact_at(&mut bytes, HEAD as u64 + i * ENTRY as u64)?;
        Entry::read(&mut Fields(&bytes)).ok_or_else(damaged)
    };
    let (mut found, mut low, mut high) = (None, 0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let looked_at = entry(middle)?;
        if holds(&looked_at) {
            (found, low) = (Some(looked_at), middle + 1);
        } else {
            high = middle;
        }
    }
    Ok(found)
}

fn open(log: &Path) -> io::Result<(File, (Summary, u64))> {
    let file = File::open(path_of(log))?;
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    let parsed = parse(&head).ok_or_else(damaged)?;
    Ok((file, parsed))
}

fn parse(head: &[u8]) -> Option<(Summary, u64)> {
    let mut fields = Fields(head);
    let (magic, crc) = (fields.u32()?, fields.u32()?);
    if magic != MAGIC || crc32c::crc32c(fields.0) != crc {
        return None;
    }
    Some((Summary::read(&mut fields)?, fields.u64()?))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("00000000000000000000.log");
        let summary_written = Summary {
            size: 4_711,
            next: Offset(99),
            first: Some(-1),
            newest: Some(5),
        };
        let entries: Vec<_> = (0..1_000)
            .map(|i| Entry {
                offset: Offset(i * 10),
                position: i as u64 * 100,
                newest_before: i,
            })
            .collect();
        for count in [0, 1, 2, 1_000] {
            write(&log, &summary_written, &entries[..count]).unwrap();
            assert_eq!(summary(&log, 4_711), Some(summary_written));
            assert_eq!(summary(&log, 4_712), None);
            for wanted in [-1, 0, 5, 10, 4_999, 5_000, 1_000_000] {
                let holds = |entry: &Entry| entry.offset <= Offset(wanted);
                let expected = entries[..count].iter().rfind(|entry| holds(entry));
                assert_eq!(last_where(&log, holds).unwrap().as_ref(), expected);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_the_head_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("1.log");
        write(&log, &Summary::empty(Offset(1)), &[]).unwrap();
        let path = path_of(&log);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(summary(&log, 0), None, "byte {at}");
        }
    }
}
