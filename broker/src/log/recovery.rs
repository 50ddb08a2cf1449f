//! Opens the folder of a partition: believes index files and the checkpoint where they fit, reads what came after, and
//! cuts a torn tail.
//!
//! A kill tears the end of the last segment only. A power cut may take away anything that was not synced, so after one
//! whatever no index file vouches for is held against its checksums, and the log ends where they end to fit. Any other
//! fault is damage, and refused rather than cut.

use std::fs;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint};
use super::cleaner::finish_swap;
use super::offset_index::{self, Summary};
use super::producer_state::Producers;
use super::batch_reader::{Check, Next, Reader};
use super::segment::Segment;
use crate::Error;
use crate::ids::Offset;
use crate::storage::{Trust, UNFINISHED};

/// What a folder held.
#[derive(Debug)]
pub struct Recovered {
    /// In the order of their offsets; never empty.
    pub segments: Vec<Segment>,
    /// As of the last batch.
    pub producers: Producers,
    /// See [`Checkpoint::log_start`].
    pub log_start: Offset,
    /// See [`Checkpoint::compacted_to`].
    pub compacted_to: Offset,
}

/// Opens `folder`, making it when missing.
pub fn recover(folder: &Path, trust: Trust) -> Result<Recovered, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    finish_swap(folder).map_err(Error::io("finish the compaction of", folder))?;
    let files = list(folder)?;
    let checkpoint = checkpoint::read(folder);
    let (log_start, compacted_to) = checkpoint
        .as_ref()
        .map_or_else(Default::default, |c| (c.log_start, c.compacted_to));
    let mut recovery = Recovery {
        trust,
        checkpoint: checkpoint.filter(|checkpoint| fits(checkpoint, &files, trust)),
        segments: Vec::with_capacity(files.len().max(1)),
        producers: Producers::default(),
    };
    for (i, (base, path)) in files.iter().enumerate() {
        recovery.refuse_overlap(*base, path)?;
        let later = &files[i + 1..];
        if recovery.add(*base, path, later.is_empty())? == End::Torn {
            remove_lost(later)?;
            break;
        }
    }
    if recovery
        .segments
        .last()
        .is_none_or(|last| last.next() < log_start)
    {
        // Nothing is left, or nothing that was not deleted.
        remove_lost(&files)?;
        recovery.segments.clear();
        let segment = Segment::create(folder, log_start).map_err(Error::io("create", folder))?;
        recovery.segments.push(segment);
    }
    Ok(Recovered {
        segments: recovery.segments,
        producers: recovery.producers,
        log_start,
        compacted_to,
    })
}

/// Every `*.log` named by an offset, in order. What a kill left unfinished is removed; other files are left alone.
fn list(folder: &Path) -> Result<Vec<(Offset, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED)
        {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            continue;
        }
        if let Some(base) = Segment::base_of(&path) {
            files.push((base, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the log holds all that the checkpoint speaks of, byte by byte if need be.
fn fits(checkpoint: &Checkpoint, files: &[(Offset, PathBuf)], trust: Trust) -> bool {
    let Some((_, path)) = files.iter().find(|(base, _)| *base == checkpoint.base) else {
        return false;
    };
    let size = checkpoint.summary.size;
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    if file.metadata().is_ok_and(|metadata| metadata.len() < size) {
        return false;
    }
    if trust == Trust::All {
        return true;
    }
    let mut reader = Reader::new(&file, 0, size);
    let mut next = checkpoint.base;
    loop {
        match reader.next(next, Check::Checksum) {
            Ok(Next::Batch(header, _)) => next = header.next_offset(),
            Ok(Next::End) => return next == checkpoint.summary.next,
            Ok(Next::Fault(_)) | Err(_) => return false,
        }
    }
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// It was cut.
    Torn,
}

/// Segments as they are added, from the first to the last.
struct Recovery {
    trust: Trust,
    /// Only one that fits; taken once its segment is reached.
    checkpoint: Option<Checkpoint>,
    segments: Vec<Segment>,
    producers: Producers,
}

impl Recovery {
    fn add(&mut self, base: Offset, path: &Path, last: bool) -> Result<End, Error> {
        let known = self
            .checkpoint
            .take_if(|checkpoint| checkpoint.base == base);
        let before_checkpoint = self.checkpoint.is_some();
        let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
        let sealed = offset_index::summary(path, size).filter(|_| !last);
        if let (Some(summary), true) = (sealed, before_checkpoint) {
            let segment = Segment::sealed(path.to_owned(), base, summary);
            self.segments.push(segment);
            return Ok(End::Whole);
        }
        let (summary, entries) = match known {
            Some(checkpoint) => {
                self.producers = checkpoint.producers;
                (checkpoint.summary, checkpoint.index)
            }
            None => (Summary::empty(base), Vec::new()),
        };
        let opened = Segment::open(path, base, summary, entries);
        let mut segment = opened.map_err(Error::io("open", path))?;
        let check = match (self.trust, sealed, last) {
            (Trust::All, _, false) | (_, Some(_), _) => Check::Form,
            _ => Check::Checksum,
        };
        // Before the checkpoint its producers are known already.
        let producers = (!before_checkpoint).then_some(&mut self.producers);
        let fault = walk(&mut segment, size, producers, check).map_err(Error::io("read", path))?;
        let may_be_torn = last || self.trust == Trust::Checksums && sealed.is_none();
        let end = match fault {
            None => End::Whole,
            Some(fault) if may_be_torn => {
                cut_tail(&segment, size, &fault);
                End::Torn
            }
            Some(fault) => return Err(damaged(&segment, fault)),
        };
        segment.cut().map_err(Error::io("cut", path))?;
        self.segments.push(segment);
        Ok(end)
    }

    fn refuse_overlap(&self, base: Offset, path: &Path) -> Result<(), Error> {
        match self.segments.last() {
            Some(before) if before.next() > base => {
                Err(damaged(before, format!("it runs into {}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

/// Notes the whole batches of `segment` behind what is known of it; says what is wrong where they end before the file.
fn walk(
    segment: &mut Segment,
    size: u64,
    mut producers: Option<&mut Producers>,
    check: Check,
) -> std::io::Result<Option<String>> {
    let Some(open) = segment.opened() else {
        return Ok(None);
    };
    let file = open.file.clone();
    let mut reader = Reader::new(&file, segment.size(), size);
    loop {
        match reader.next(segment.next(), check)? {
            Next::Batch(header, bytes) => {
                if let Some(producers) = &mut producers {
                    producers.remember(&header, bytes, header.base_offset);
                }
                segment.note(&header);
            }
            Next::End => return Ok(None),
            Next::Fault(fault) => return Ok(Some(fault)),
        }
    }
}

fn cut_tail(segment: &Segment, size: u64, fault: &str) {
    tracing::warn!(
        path = %segment.path().display(),
        cut_bytes = size - segment.size(),
        next_offset = %segment.next(),
        fault,
        "cut a torn tail"
    );
}

/// Segments behind one that a power cut tore: what is in them follows on what is lost.
fn remove_lost(files: &[(Offset, PathBuf)]) -> Result<(), Error> {
    for (base, path) in files.iter().filter(|(_, path)| path.exists()) {
        tracing::warn!(path = %path.display(), first_offset = %base, "removed a segment behind a torn one");
        let segment = Segment::sealed(path.clone(), *base, Summary::empty(*base));
        segment.remove().map_err(Error::io("remove", path))?;
    }
    Ok(())
}

fn damaged(segment: &Segment, reason: String) -> Error {
    Error::Damaged {
        path: segment.path().to_owned(),
        position: segment.size(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::tests::{Sample, sample};
    use proptest::prelude::*;
    use std::fs::File;

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
        recover(folder, Trust::All)
            .unwrap()
            .segments
            .last()
            .unwrap()
            .next()
            .0
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
        let error = recover(dir.path(), Trust::All).unwrap_err();
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
            prop_assume!(at % sizes[0] >= crate::record::batch::PATCHED_LEN);
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            prop_assert_eq!(next_offset(dir.path()), (at / sizes[0]) as i64 * 3);
        }
    }
}
