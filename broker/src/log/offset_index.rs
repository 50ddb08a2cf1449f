//! The sparse index of a segment by offset and by timestamp: in memory while the segment grows, and in a file once it is
//! sealed.
//!
//! The file `*.index` beside `*.log` has, with all integers little-endian: magic u32, CRC-32C u32 over the rest of the
//! header, the [`SegmentSummary`] of the segment, the number of entries u64, and then 24 bytes per entry. A lookup trusts
//! an entry only if the batch that it names is there. So the entries need no checksum, and are never read as a whole.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    ids::Offset,
    record::batch::RecordBatchHeader,
    storage::{journal::FieldReader, replace},
};

/// The largest distance in bytes between two entries, unless a single batch is larger (`index.interval.bytes`).
pub(crate) const INTERVAL: u64 = 4096;

/// Index files of earlier versions have another magic number and are written anew: they took the timestamps from the
/// headers of batches, where some producers leave them out.
const MAGIC: u32 = 0x4556_4933;
const HEADER_LEN: usize = 8 + SegmentSummary::SIZE + 8;
const ENTRY_LEN: usize = 24;

/// What the log has to know of a segment without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSummary {
    /// The number of bytes of complete batches; anything after them in the file is not part of the log.
    pub(crate) size: u64,
    /// The offset after the last record.
    pub(crate) next: Offset,
    /// The largest timestamp of the first batch (ms), from which the age of the segment counts; `None` while it is empty.
    pub(crate) first: Option<i64>,
    /// The largest timestamp of all batches (ms), negative if they have none; `None` while the segment is empty.
    pub(crate) newest: Option<i64>,
}

/// An entry of the index: the batch whose first offset is `offset` begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// The offset of the first record of the batch.
    pub(crate) offset: Offset,
    /// The position of the batch in the file.
    pub(crate) position: u64,
    /// The largest timestamp (ms) of all batches before `position`.
    pub(crate) newest_before: i64,
}

impl SegmentSummary {
    /// Size of an encoded summary in bytes.
    pub(crate) const SIZE: usize = 33;

    /// Returns the summary of an empty segment that begins at `base`.
    pub(crate) fn empty(base: Offset) -> SegmentSummary {
        SegmentSummary {
            size: 0,
            next: base,
            first: None,
            newest: None,
        }
    }

    /// Adds a batch at the end of the segment.
    pub(crate) fn add(&mut self, header: &RecordBatchHeader) {
        self.first.get_or_insert(header.max_timestamp);
        self.newest = self.newest.max(Some(header.max_timestamp));
        self.size += header.size as u64;
        self.next = header.next_offset();
    }

    /// Appends the encoded fields to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.newest.is_some()));
        out.extend(self.size.to_le_bytes());
        out.extend(self.next.0.to_le_bytes());
        out.extend(self.first.unwrap_or_default().to_le_bytes());
        out.extend(self.newest.unwrap_or_default().to_le_bytes());
    }

    /// Decodes what [`put`](SegmentSummary::put) appended.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<SegmentSummary> {
        let has_records = fields.u8()? != 0;
        let (size, next) = (fields.u64()?, Offset(fields.i64()?));
        let (first, newest) = (fields.i64()?, fields.i64()?);
        Some(SegmentSummary {
            size,
            next,
            first: has_records.then_some(first),
            newest: has_records.then_some(newest),
        })
    }
}

impl IndexEntry {
    /// Appends the encoded fields to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.0.to_le_bytes());
        out.extend(self.position.to_le_bytes());
        out.extend(self.newest_before.to_le_bytes());
    }

    /// Decodes what [`put`](IndexEntry::put) appended.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<IndexEntry> {
        Some(IndexEntry {
            offset: Offset(fields.i64()?),
            position: fields.u64()?,
            newest_before: fields.i64()?,
        })
    }
}

/// The index of a segment that still grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetIndex {
    /// In the order of the positions.
    entries: Vec<IndexEntry>,
}

impl OffsetIndex {
    /// Adds a batch that follows those of the summary, if it is far enough from the last entry.
    pub(crate) fn add(&mut self, before: &SegmentSummary, header: &RecordBatchHeader) {
        let end = before.size + header.size as u64;
        let last = self.entries.last();
        if last.is_none_or(|entry| end > entry.position + INTERVAL) {
            self.entries.push(IndexEntry {
                offset: header.base_offset,
                position: before.size,
                newest_before: before.newest.unwrap_or(i64::MIN),
            });
        }
    }

    /// Returns the last entry for which `holds`, which must also hold for all entries before it.
    pub(crate) fn last_where(&self, holds: impl Fn(&IndexEntry) -> bool) -> Option<IndexEntry> {
        let after = self.entries.partition_point(holds);
        Some(self.entries[after.checked_sub(1)?])
    }

    /// Appends the number of entries u32 and the entries to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend((self.entries.len() as u32).to_le_bytes());
        self.entries.iter().for_each(|entry| entry.put(out));
    }

    /// Decodes what [`put`](OffsetIndex::put) appended.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<Self> {
        let count = fields.u32()?;
        let entries = (0..count).map(|_| IndexEntry::read(fields));
        let entries = entries.collect::<Option<_>>()?;
        Some(Self { entries })
    }

    /// Writes the index file of a closed log file.
    ///
    /// The log file must be synced before: whoever finds an index file trusts that its log file is complete.
    pub(crate) fn write(&self, log: &Path, summary: &SegmentSummary) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.entries.len() * ENTRY_LEN);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([0; 4]);
        summary.put(&mut bytes);
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        for entry in &self.entries {
            entry.put(&mut bytes);
        }
        replace(&path_of(log), |file| file.write_all(&bytes))
    }
}

/// Returns the path of the index file of a log file.
fn path_of(log: &Path) -> PathBuf {
    log.with_extension("index")
}

/// Removes the index file of a log file, if there is one.
pub(crate) fn remove(log: &Path) -> io::Result<()> {
    match std::fs::remove_file(path_of(log)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads the summary in the index file of a log file, or returns `None` if there is none for a file of `log_size` bytes.
pub(crate) fn read_summary(log: &Path, log_size: u64) -> Option<SegmentSummary> {
    let (summary, _) = open(log).ok()?.1;
    (summary.size == log_size).then_some(summary)
}

/// Finds the last entry in an index file for which `holds`, which must also hold for all entries before it.
pub(crate) fn last_where(
    log: &Path,
    holds: impl Fn(&IndexEntry) -> bool,
) -> io::Result<Option<IndexEntry>> {
    let (file, (_, count)) = open(log)?;
    let entry = |i: u64| {
        let mut bytes = [0; ENTRY_LEN];
        file.read_exact_at(&mut bytes, HEADER_LEN as u64 + i * ENTRY_LEN as u64)?;
        IndexEntry::read(&mut FieldReader(&bytes)).ok_or_else(damaged)
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

fn open(log: &Path) -> io::Result<(File, (SegmentSummary, u64))> {
    let file = File::open(path_of(log))?;
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(&mut header, 0)?;
    let parsed = parse(&header).ok_or_else(damaged)?;
    Ok((file, parsed))
}

fn parse(header: &[u8]) -> Option<(SegmentSummary, u64)> {
    let mut fields = FieldReader(header);
    let (magic, crc) = (fields.u32()?, fields.u32()?);
    if magic != MAGIC || crc32c::crc32c(fields.0) != crc {
        return None;
    }
    Some((SegmentSummary::read(&mut fields)?, fields.u64()?))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index file is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("00000000000000000000.log");
        let summary_written = SegmentSummary {
            size: 4_711,
            next: Offset(99),
            first: Some(-1),
            newest: Some(5),
        };
        for count in [0, 1, 2, 1_000] {
            let entries = (0..count).map(|i| IndexEntry {
                offset: Offset(i * 10),
                position: i as u64 * 100,
                newest_before: i,
            });
            let index = OffsetIndex {
                entries: entries.collect(),
            };
            index.write(&log, &summary_written).unwrap();
            assert_eq!(read_summary(&log, 4_711), Some(summary_written));
            assert_eq!(read_summary(&log, 4_712), None);
            for wanted in [-1, 0, 5, 10, 4_999, 5_000, 1_000_000] {
                let holds = |entry: &IndexEntry| entry.offset <= Offset(wanted);
                let expected = index.entries.iter().rfind(|entry| holds(entry)).copied();
                assert_eq!(index.last_where(holds), expected);
                assert_eq!(last_where(&log, holds).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_the_head_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("1.log");
        let empty = SegmentSummary::empty(Offset(1));
        OffsetIndex::default().write(&log, &empty).unwrap();
        let path = path_of(&log);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_summary(&log, 0), None, "byte {at}");
        }
    }
}
