//! Rewriting segments without outdated records.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    time::SystemTime,
};

use super::{SourceSegment, offset_map::OffsetMap};
use crate::{
    ids::Offset,
    log::{
        batch_reader::{BatchCheck, BatchReader, NextBatch},
        config::LogConfig,
        offset_index::{OffsetIndex, SegmentSummary},
        producer_state::transactions::AbortedTxn,
    },
    record::{
        batch::{self, DELETE_HORIZON, HEADER_LEN, LENGTH_PREFIX, RecordBatchHeader},
        compression,
        records::{self, Record},
    },
    storage::UNFINISHED,
};

/// Decides which records are kept, and writes them.
#[derive(Debug)]
pub(crate) struct SegmentRewriter<'a> {
    newest: &'a OffsetMap,
    aborted: &'a [AbortedTxn],
    now: i64,
    /// The delete horizon (ms) of batches whose tombstones are cleaned for the first time.
    horizon: i64,
}

/// A file that was written but does not have its final name yet.
#[derive(Debug)]
pub(crate) struct RewrittenSegment {
    pub(crate) summary: SegmentSummary,
    pub(crate) index: OffsetIndex,
}

/// Returns whether the batch belongs to an aborted transaction.
pub(crate) fn is_aborted(header: &RecordBatchHeader, aborted: &[AbortedTxn]) -> bool {
    header.is_transactional()
        && !header.is_control()
        && aborted.iter().any(|aborted| {
            Some(aborted.producer) == header.producer_id
                && (aborted.first..aborted.last).contains(&header.base_offset)
        })
}

impl<'a> SegmentRewriter<'a> {
    /// Returns a rewriter for a cleaning at `now` (ms).
    pub(crate) fn new(
        newest: &'a OffsetMap,
        aborted: &'a [AbortedTxn],
        config: &LogConfig,
        now: i64,
    ) -> SegmentRewriter<'a> {
        SegmentRewriter {
            newest,
            aborted,
            now,
            horizon: now.saturating_add(config.delete_retention_ms),
        }
    }

    /// Writes the kept records of neighbouring segments to a file beside the first of them, and syncs it.
    pub(crate) fn write(&self, sources: &[SourceSegment]) -> io::Result<RewrittenSegment> {
        let first = &sources[0].segment;
        let path = first.path().with_extension(UNFINISHED);
        let mut output = Output {
            file: BufWriter::new(File::create(path)?),
            summary: SegmentSummary::empty(first.base()),
            index: OffsetIndex::default(),
        };
        let mut last = first.next();
        let mut modified = SystemTime::UNIX_EPOCH;
        for source in sources {
            let file = File::open(source.segment.path())?;
            modified = modified.max(file.metadata()?.modified()?);
            let mut reader = BatchReader::new(&file, 0, source.segment.size());
            loop {
                match reader.next(Offset(0), BatchCheck::Checksum)? {
                    NextBatch::Batch(header, bytes) => self.copy(&header, bytes, &mut output)?,
                    NextBatch::End => break,
                    // Keeping a large log is better than losing records that cannot be read.
                    NextBatch::Fault(fault) => return Err(io::Error::other(fault)),
                }
            }
            last = source.next;
        }
        let file = output
            .file
            .into_inner()
            .map_err(|error| error.into_error())?;
        // Records without a timestamp are as old as their file.
        file.set_modified(modified)?;
        file.sync_all()?;
        output.summary.next = last;
        Ok(RewrittenSegment {
            summary: output.summary,
            index: output.index,
        })
    }

    fn copy(
        &self,
        header: &RecordBatchHeader,
        batch: &[u8],
        output: &mut Output,
    ) -> io::Result<()> {
        if is_aborted(header, self.aborted) {
            return Ok(());
        }
        if header.is_control() || header.base_offset >= self.newest.end() {
            return output.push(header, batch);
        }
        // Earlier versions stored batches without checking the records. Those that cannot be read stay as they are.
        let Some(records) = records::decompress(header, batch) else {
            return output.push(header, batch);
        };
        let mut kept = 0;
        let mut has_tombstone = false;
        for record in records::iter(&records).filter(|record| self.keeps(header, record)) {
            kept += 1;
            has_tombstone |= record.value.is_none();
        }
        let has_new_tombstone = header.delete_horizon().is_none() && has_tombstone;
        if kept == 0 {
            return Ok(());
        }
        if kept == header.count && !has_new_tombstone {
            return output.push(header, batch);
        }
        let horizon = has_new_tombstone.then_some(self.horizon);
        let kept_records = records::iter(&records).filter(|record| self.keeps(header, record));
        let smaller = with_records(header, batch, kept_records, horizon)?;
        let header = RecordBatchHeader::parse(&smaller).map_err(io::Error::other)?;
        output.push(&header, &smaller)
    }

    fn keeps(&self, header: &RecordBatchHeader, record: &Record<'_>) -> bool {
        let offset = Offset(header.base_offset.0.saturating_add(record.offset_delta));
        let Some(key) = record.key else {
            // The record is older than the compaction of the topic, and nothing could ever outdate it.
            return false;
        };
        let is_spent_tombstone = record.value.is_none()
            && header
                .delete_horizon()
                .is_some_and(|horizon| horizon <= self.now);
        !is_spent_tombstone && !self.newest.outdates(key, offset)
    }
}

/// Returns the batch with only the kept records, and with a delete horizon if there is one.
fn with_records<'a>(
    header: &RecordBatchHeader,
    batch: &[u8],
    kept: impl Iterator<Item = Record<'a>>,
    horizon: Option<i64>,
) -> io::Result<Vec<u8>> {
    // The horizon takes the place of the base timestamp, so all timestamp deltas change.
    let base = horizon.unwrap_or(header.base_timestamp);
    let mut plain = Vec::new();
    let mut newest = i64::MIN;
    let mut count = 0i32;
    for record in kept {
        count += 1;
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        newest = newest.max(timestamp);
        match base == header.base_timestamp {
            true => plain.extend(record.bytes),
            false => record.put_with_delta(timestamp.wrapping_sub(base), &mut plain),
        }
    }
    if header.is_log_append_time() {
        newest = header.max_timestamp;
    }
    let mut out = batch[..HEADER_LEN].to_vec();
    out.extend(compression::compress(header.codec(), &plain)?);
    let length = i32::try_from(out.len() - LENGTH_PREFIX).map_err(io::Error::other)?;
    let horizon_bit = horizon.map_or(0, |_| DELETE_HORIZON);
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[21..23].copy_from_slice(&(header.attributes | horizon_bit).to_be_bytes());
    out[27..35].copy_from_slice(&base.to_be_bytes());
    out[35..43].copy_from_slice(&newest.to_be_bytes());
    out[57..61].copy_from_slice(&count.to_be_bytes());
    batch::write_crc(&mut out);
    Ok(out)
}

/// A segment that is being written.
struct Output {
    file: BufWriter<File>,
    summary: SegmentSummary,
    index: OffsetIndex,
}

impl Output {
    fn push(&mut self, header: &RecordBatchHeader, batch: &[u8]) -> io::Result<()> {
        self.file.write_all(batch)?;
        let header = records::with_known_time(header, batch);
        self.index.add(&self.summary, &header);
        self.summary.add(&header);
        Ok(())
    }
}
