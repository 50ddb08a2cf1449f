//! Writing segments again without the records that are outdated.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::Source;
use super::offset_map::Newest;
use crate::record::batch::{self, DELETE_HORIZON, HEADER_LEN, Header, LENGTH_PREFIX};
use crate::record::compression;
use crate::ids::Offset;
use crate::log::offset_index::{self, Entry, Summary};
use crate::log::batch_reader::{Check, Next, Reader};
use crate::log::config::Settings;
use crate::log::producer_state::transactions::Aborted;
use crate::record::records::{self, Record};
use crate::storage::UNFINISHED;

/// What is kept and what is not.
#[derive(Debug)]
pub struct Rewrite<'a> {
    newest: &'a Newest,
    aborted: &'a [Aborted],
    now: i64,
    /// What a batch whose tombstones are met for the first time gets, ms.
    horizon: i64,
}

/// A file that was written, not yet in its place.
#[derive(Debug)]
pub struct Written {
    pub summary: Summary,
    pub index: Vec<Entry>,
}

/// Whether the batch belongs to a transaction that was aborted.
pub fn is_aborted(header: &Header, aborted: &[Aborted]) -> bool {
    header.is_transactional()
        && !header.is_control()
        && aborted.iter().any(|aborted| {
            Some(aborted.producer) == header.producer_id
                && (aborted.first..aborted.last).contains(&header.base_offset)
        })
}

impl<'a> Rewrite<'a> {
    /// With what the newest records outdate, at `now` (ms).
    pub fn new(
        newest: &'a Newest,
        aborted: &'a [Aborted],
        settings: &Settings,
        now: i64,
    ) -> Rewrite<'a> {
        Rewrite {
            newest,
            aborted,
            now,
            horizon: now.saturating_add(settings.delete_retention_ms),
        }
    }

    /// Writes what is kept of the sources, which are neighbours, beside the first of them, and syncs it.
    pub fn write(&self, sources: &[Source]) -> io::Result<Written> {
        let first = &sources[0].segment;
        let path = first.path().with_extension(UNFINISHED);
        let mut output = Output {
            file: BufWriter::new(File::create(path)?),
            summary: Summary::empty(first.base()),
            index: Vec::new(),
        };
        let mut last = first.next();
        for source in sources {
            let file = File::open(source.segment.path())?;
            let mut reader = Reader::new(&file, 0, source.segment.size());
            loop {
                match reader.next(Offset(0), Check::Checksum)? {
                    Next::Batch(header, bytes) => self.copy(&header, bytes, &mut output)?,
                    Next::End => break,
                    // Better a large log than one that lost what it cannot read.
                    Next::Fault(fault) => return Err(io::Error::other(fault)),
                }
            }
            last = source.next;
        }
        let file = output
            .file
            .into_inner()
            .map_err(|error| error.into_error())?;
        file.sync_all()?;
        output.summary.next = last;
        Ok(Written {
            summary: output.summary,
            index: output.index,
        })
    }

    fn copy(&self, header: &Header, batch: &[u8], output: &mut Output) -> io::Result<()> {
        if is_aborted(header, self.aborted) {
            return Ok(());
        }
        if header.is_control() || header.base_offset >= self.newest.end() {
            return output.push(header, batch);
        }
        let Ok(records) = records::unfold(header, batch) else {
            return output.push(header, batch);
        };
        let all: Vec<_> = records::iterate(&records).collect();
        let (kept, gone): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|record| self.keeps(header, record));
        let meets_tombstone =
            header.delete_horizon().is_none() && kept.iter().any(|record| record.value.is_none());
        if kept.is_empty() {
            return Ok(());
        }
        if gone.is_empty() && !meets_tombstone {
            return output.push(header, batch);
        }
        let horizon = meets_tombstone.then_some(self.horizon);
        let smaller = with_records(header, batch, &kept, horizon)?;
        let header = Header::parse(&smaller).map_err(io::Error::other)?;
        output.push(&header, &smaller)
    }

    fn keeps(&self, header: &Header, record: &Record<'_>) -> bool {
        let offset = Offset(header.base_offset.0 + record.offset_delta);
        let Some(key) = record.key else {
            // From before the topic was compacted; nothing would ever outdate it.
            return false;
        };
        let is_spent_tombstone = record.value.is_none()
            && header
                .delete_horizon()
                .is_some_and(|horizon| horizon <= self.now);
        !is_spent_tombstone && !self.newest.outdates(key, offset)
    }
}

/// The same batch with only these of its records; from `horizon` on its tombstones may go.
fn with_records(
    header: &Header,
    batch: &[u8],
    kept: &[Record<'_>],
    horizon: Option<i64>,
) -> io::Result<Vec<u8>> {
    // The horizon stands where the timestamps count from, so they are counted anew.
    let base = horizon.unwrap_or(header.base_timestamp);
    let mut plain = Vec::new();
    let mut newest = i64::MIN;
    for record in kept {
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
    out.extend(compression::fold(header.codec(), &plain)?);
    let length = i32::try_from(out.len() - LENGTH_PREFIX).map_err(io::Error::other)?;
    let horizon_bit = horizon.map_or(0, |_| DELETE_HORIZON);
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[21..23].copy_from_slice(&(header.attributes | horizon_bit).to_be_bytes());
    out[27..35].copy_from_slice(&base.to_be_bytes());
    out[35..43].copy_from_slice(&newest.to_be_bytes());
    out[57..61].copy_from_slice(&(kept.len() as i32).to_be_bytes());
    batch::seal(&mut out);
    Ok(out)
}

/// A segment in the making.
struct Output {
    file: BufWriter<File>,
    summary: Summary,
    index: Vec<Entry>,
}

impl Output {
    fn push(&mut self, header: &Header, batch: &[u8]) -> io::Result<()> {
        self.file.write_all(batch)?;
        offset_index::note(&mut self.index, &self.summary, header);
        self.summary.note(header);
        Ok(())
    }
}
