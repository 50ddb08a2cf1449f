//! Opens the folder of a log: uses the index files and the checkpoint if they match, reads what came after them, and cuts
//! off a torn end.
//!
//! A kill can only tear the end of the last segment. A power cut can lose anything that was not synced. So after one,
//! recovery checks the checksums of all segments without an index file, and the log ends at the first that is wrong. Any
//! other fault is damage, which is an error and is never cut off.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    batch_reader::{BatchCheck, BatchReader, NextBatch},
    checkpoint::{self, Checkpoint},
    cleaner::finish_swap,
    offset_index::{self, OffsetIndex, SegmentSummary},
    producer_state::ProducerStateManager,
    segment::LogSegment,
};
use crate::{
    Error,
    ids::Offset,
    record::records,
    storage::{Trust, UNFINISHED},
};

/// The content of a folder.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments in the order of their offsets; never empty.
    pub(crate) segments: Vec<LogSegment>,
    /// The producer state after the last batch.
    pub(crate) producers: ProducerStateManager,
    /// See [`Checkpoint::log_start`].
    pub(crate) log_start: Offset,
    /// See [`Checkpoint::cleaned_to`].
    pub(crate) cleaned_to: Offset,
}

/// Opens `folder`, and creates it if it does not exist.
pub(crate) fn recover(folder: &Path, trust: Trust) -> Result<Recovered, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    finish_swap(folder).map_err(Error::io("finish the cleaning of", folder))?;
    let files = list(folder)?;
    let checkpoint = checkpoint::read(folder);
    let (log_start, cleaned_to) = checkpoint
        .as_ref()
        .map_or_else(Default::default, |c| (c.log_start, c.cleaned_to));
    let mut recovery = Recovery {
        trust,
        checkpoint: checkpoint.filter(|checkpoint| matches_log(checkpoint, &files, trust)),
        segments: Vec::with_capacity(files.len().max(1)),
        producers: ProducerStateManager::default(),
    };
    for (i, (base, path)) in files.iter().enumerate() {
        recovery.refuse_overlap(*base, path)?;
        let later = &files[i + 1..];
        if recovery.add(*base, path, later.is_empty())? == SegmentEnd::Torn {
            remove_lost(later)?;
            break;
        }
    }
    if recovery
        .segments
        .last()
        .is_none_or(|last| last.next() < log_start)
    {
        // No records are left, or only deleted ones.
        remove_lost(&files)?;
        recovery.segments.clear();
        let segment = LogSegment::create(folder, log_start).map_err(Error::io("create", folder))?;
        recovery.segments.push(segment);
    }
    Ok(Recovered {
        segments: recovery.segments,
        producers: recovery.producers,
        log_start,
        cleaned_to,
    })
}

/// Lists the log files in the order of their offsets. Removes unfinished files and ignores all others.
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
        if let Some(base) = LogSegment::base_of(&path) {
            files.push((base, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Returns whether the log holds everything that the checkpoint covers. Without trust, this reads and checks the batches.
fn matches_log(checkpoint: &Checkpoint, files: &[(Offset, PathBuf)], trust: Trust) -> bool {
    if !checkpoint.has_known_times {
        return false;
    }
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
    let mut reader = BatchReader::new(&file, 0, size);
    let mut next = checkpoint.base;
    loop {
        match reader.next(next, BatchCheck::Checksum) {
            Ok(NextBatch::Batch(header, _)) => next = header.next_offset(),
            Ok(NextBatch::End) => return next == checkpoint.summary.next,
            Ok(NextBatch::Fault(_)) | Err(_) => return false,
        }
    }
}

/// The end of a recovered segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SegmentEnd {
    /// The file ends with a complete batch.
    Whole,
    /// The file had a torn end, which was cut off.
    Torn,
}

/// A recovery under way, which adds segments from the first to the last.
struct Recovery {
    trust: Trust,
    /// A checkpoint that matches the log; taken when its segment is added.
    checkpoint: Option<Checkpoint>,
    segments: Vec<LogSegment>,
    producers: ProducerStateManager,
}

impl Recovery {
    /// Opens and checks the next segment.
    fn add(&mut self, base: Offset, path: &Path, last: bool) -> Result<SegmentEnd, Error> {
        let known = self
            .checkpoint
            .take_if(|checkpoint| checkpoint.base == base);
        let before_checkpoint = self.checkpoint.is_some();
        let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
        let sealed = offset_index::read_summary(path, size).filter(|_| !last);
        if let (Some(summary), true) = (sealed, before_checkpoint) {
            let segment = LogSegment::sealed(path.to_owned(), base, summary);
            self.segments.push(segment);
            return Ok(SegmentEnd::Whole);
        }
        let (summary, index) = match known {
            Some(checkpoint) => {
                self.producers = checkpoint.producers;
                (checkpoint.summary, checkpoint.index)
            }
            None => (SegmentSummary::empty(base), OffsetIndex::default()),
        };
        let opened = LogSegment::open(path, base, summary, index);
        let mut segment = opened.map_err(Error::io("open", path))?;
        let check = match (self.trust, sealed, last) {
            (Trust::All, _, false) | (_, Some(_), _) => BatchCheck::Form,
            _ => BatchCheck::Checksum,
        };
        // The checkpoint has the producer state of the segments before it.
        let producers = (!before_checkpoint).then_some(&mut self.producers);
        let fault = walk(&mut segment, size, producers, check).map_err(Error::io("read", path))?;
        let may_be_torn = last || self.trust == Trust::Checksums && sealed.is_none();
        let end = match fault {
            None => SegmentEnd::Whole,
            Some(fault) if may_be_torn => {
                log_cut(&segment, size, &fault);
                SegmentEnd::Torn
            }
            Some(fault) => return Err(damaged(&segment, fault)),
        };
        segment.cut().map_err(Error::io("cut", path))?;
        self.segments.push(segment);
        Ok(end)
    }

    fn refuse_overlap(&self, base: Offset, path: &Path) -> Result<(), Error> {
        match self.segments.last() {
            Some(before) if before.next() > base => Err(damaged(
                before,
                format!("its offsets overlap with {}", path.display()),
            )),
            _ => Ok(()),
        }
    }
}

/// Reads the batches of `segment` after those that are known. Returns the fault if they end before the file does.
fn walk(
    segment: &mut LogSegment,
    size: u64,
    mut producers: Option<&mut ProducerStateManager>,
    check: BatchCheck,
) -> std::io::Result<Option<String>> {
    let Some(open) = segment.opened() else {
        return Ok(None);
    };
    let file = open.file.clone();
    let mut reader = BatchReader::new(&file, segment.size(), size);
    loop {
        match reader.next(segment.next(), check)? {
            NextBatch::Batch(header, bytes) => {
                if let Some(producers) = &mut producers {
                    producers.update(&header, bytes, header.base_offset);
                }
                segment.add(&records::with_known_time(&header, bytes));
            }
            NextBatch::End => return Ok(None),
            NextBatch::Fault(fault) => return Ok(Some(fault)),
        }
    }
}

/// Logs that the end of a segment is cut off.
fn log_cut(segment: &LogSegment, size: u64, fault: &str) {
    tracing::warn!(
        path = %segment.path().display(),
        cut_bytes = size - segment.size(),
        next_offset = %segment.next(),
        fault,
        "cut off the torn end of a log"
    );
}

/// Removes the segments after a torn one: their records follow lost ones.
fn remove_lost(files: &[(Offset, PathBuf)]) -> Result<(), Error> {
    for (base, path) in files.iter().filter(|(_, path)| path.exists()) {
        tracing::warn!(path = %path.display(), first_offset = %base, "removed a segment that follows lost records");
        let segment = LogSegment::sealed(path.clone(), *base, SegmentSummary::empty(*base));
        segment.remove().map_err(Error::io("remove", path))?;
    }
    Ok(())
}

fn damaged(segment: &LogSegment, reason: String) -> Error {
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

    /// Writes batches of 3 records each to one file; returns the file and the sizes of the batches.
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
        let path = folder.join(LogSegment::file_name(Offset(0)));
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
        LogSegment::create(dir.path(), Offset(6)).unwrap();
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
            // The CRC does not cover offset and epoch: a wrong epoch does no harm, and a wrong offset may leave a gap.
            prop_assume!(at % sizes[0] >= crate::record::batch::PATCHED_LEN);
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            prop_assert_eq!(next_offset(dir.path()), (at / sizes[0]) as i64 * 3);
        }
    }
}
