//! Opens the folder of a partition: walks every batch to rebuild index and producers, checks the CRCs of the last
//! segment, and cuts a torn tail there.
//!
//! Only the last segment can be torn by a kill, for a new one is begun after the last write to the one before. A fault
//! in an earlier segment is damage, and refused rather than cut.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::producers::Producers;
use super::segment::Segment;
use crate::embedded::Error;
use crate::embedded::batch::{self, HEADER_LEN, Header};
use crate::embedded::ids::Offset;

/// Read at a time while walking.
const WINDOW: usize = 64 << 10;

/// What a folder held.
#[derive(Debug)]
pub struct Recovered {
    /// In the order of their offsets; never empty.
    pub segments: Vec<Segment>,
    /// As of the last batch.
    pub producers: Producers,
}

/// Opens `folder`, making it when missing.
pub fn recover(folder: &Path) -> Result<Recovered, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let files = segment_files(folder)?;
    let mut producers = Producers::default();
    let mut segments: Vec<Segment> = Vec::with_capacity(files.len().max(1));
    for (i, (base, path)) in files.iter().enumerate() {
        let last = i + 1 == files.len();
        let mut segment = Segment::open(path, *base).map_err(Error::io("open", path))?;
        if let Some(before) = segments.last()
            && before.next() > *base
        {
            return Err(damaged(before, format!("it runs into {}", path.display())));
        }
        let fault = walk(&mut segment, &mut producers, last).map_err(Error::io("read", path))?;
        match fault {
            Some(fault) if last => cut_tail(&segment, &fault)?,
            Some(fault) => return Err(damaged(&segment, fault)),
            None => segment.cut().map_err(Error::io("open", path))?,
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        segments.push(Segment::create(folder, Offset(0)).map_err(Error::io("create", folder))?);
    }
    Ok(Recovered {
        segments,
        producers,
    })
}

/// Every `*.log` named by an offset, in order. Other files are left alone.
fn segment_files(folder: &Path) -> Result<Vec<(Offset, PathBuf)>, Error> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    for entry in entries {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let base = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".log")?.parse().ok())
            .map(Offset);
        if let Some(base) = base {
            files.push((base, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Notes the whole batches of `segment`; says what is wrong where they end before the file does.
fn walk(
    segment: &mut Segment,
    producers: &mut Producers,
    check_crc: bool,
) -> io::Result<Option<String>> {
    let file = segment.file().clone();
    let mut reader = Reader::new(&file)?;
    loop {
        let left = reader.len - segment.size();
        if left == 0 {
            return Ok(None);
        }
        let head = reader.bytes(segment.size(), left.min(HEADER_LEN as u64) as usize)?;
        let header = match Header::parse(head) {
            Ok(header) => header,
            Err(invalid) => return Ok(Some(invalid.to_string())),
        };
        if header.size as u64 > left {
            return Ok(Some(format!("{left} bytes of a batch of {}", header.size)));
        }
        if header.base_offset < segment.next() {
            return Ok(Some(format!(
                "offset {} where {} comes next",
                header.base_offset,
                segment.next()
            )));
        }
        if check_crc && let Err(invalid) = batch::verify(reader.bytes(segment.size(), header.size)?)
        {
            return Ok(Some(invalid.to_string()));
        }
        // Of a control batch its record says what it ends.
        let bytes = match header.is_control() {
            true => reader.bytes(segment.size(), header.size)?,
            false => &[],
        };
        producers.remember(&header, bytes, header.base_offset);
        segment.note(&header);
    }
}

fn cut_tail(segment: &Segment, fault: &str) -> Result<(), Error> {
    let path = segment.path();
    let length = segment
        .file()
        .metadata()
        .map_err(Error::io("read", path))?
        .len();
    segment.cut().map_err(Error::io("cut", path))?;
    tracing::warn!(
        path = %path.display(),
        cut_bytes = length - segment.size(),
        next_offset = %segment.next(),
        fault,
        "cut a torn tail"
    );
    Ok(())
}

fn damaged(segment: &Segment, reason: String) -> Error {
    Error::Damaged {
        path: segment.path().to_owned(),
        position: segment.size(),
        reason,
    }
}

/// Reads a file forwards, a window at a time.
struct Reader<'a> {
    file: &'a File,
    len: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Reader<'_> {
    fn new(file: &File) -> io::Result<Reader<'_>> {
        Ok(Reader {
            file,
            len: file.metadata()?.len(),
            window: Vec::new(),
            window_start: 0,
        })
    }

    /// `length` bytes at `position`, which must lie within the file.
    fn bytes(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let held = self.window_start..self.window_start + self.window.len() as u64;
        if position < held.start || position + length as u64 > held.end {
            let left = usize::try_from(self.len - position).unwrap_or(usize::MAX);
            self.window.resize(length.max(WINDOW).min(left), 0);
            self.file.read_exact_at(&mut self.window, position)?;
            self.window_start = position;
        }
        let at = (position - self.window_start) as usize;
        Ok(&self.window[at..at + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::batch::tests::{Sample, sample};
    use proptest::prelude::*;

    /// Batches of 3 records each in one file; returns the file and the size of each.
    fn written(folder: &Path, batches: i64) -> (PathBuf, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut sizes = Vec::new();
        for i in 0..batches {
            let batch = sample(&Sample {
                base_offset: i * 3,
                count: 3,
                producer: (1, 0, i as i32 * 3),
                value_len: 40,
                ..Sample::default()
            });
            sizes.push(batch.len());
            bytes.extend(batch);
        }
        let path = folder.join(Segment::file_name(Offset(0)));
        fs::write(&path, bytes).unwrap();
        (path, sizes)
    }

    fn next_offset(folder: &Path) -> i64 {
        recover(folder).unwrap().segments.last().unwrap().next().0
    }

    #[test]
    fn a_whole_file_is_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path(), 10);
        let before = fs::read(&path).unwrap();
        assert_eq!(next_offset(dir.path()), 30);
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn damage_before_the_last_segment_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path(), 2);
        Segment::create(dir.path(), Offset(6)).unwrap();
        assert_eq!(next_offset(dir.path()), 6);
        let mut bytes = fs::read(&path).unwrap();
        bytes.pop();
        fs::write(&path, bytes).unwrap();
        let error = recover(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_torn_tail_costs_only_the_torn_batch(cut in any::<prop::sample::Index>()) {
            let dir = tempfile::tempdir().unwrap();
            let (path, sizes) = written(dir.path(), 8);
            let total: usize = sizes.iter().sum();
            let cut = cut.index(total);
            File::options().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
            let whole = (cut / sizes[0]) as i64;
            prop_assert_eq!(next_offset(dir.path()), whole * 3);
            prop_assert_eq!(fs::metadata(&path).unwrap().len(), (whole as usize * sizes[0]) as u64);
        }

        #[test]
        fn a_flipped_bit_never_survives(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let dir = tempfile::tempdir().unwrap();
            let (path, sizes) = written(dir.path(), 8);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            // Offset and epoch lie outside the CRC; a flipped epoch harms nothing, a flipped offset may leave a gap.
            prop_assume!(at % sizes[0] >= batch::PATCHED_LEN);
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            prop_assert_eq!(next_offset(dir.path()), (at / sizes[0]) as i64 * 3);
        }
    }
}
