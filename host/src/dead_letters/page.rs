//! A page of dead letters, bounded in number and in bytes.

use std::ops::Range;

use tokio_util::sync::CancellationToken;

use super::{LetterCursor, LetterFilter, LetterQuery, LetterSelection, RecordPosition};
use crate::{
    event::{Letter, Offset, Partition, Records},
    kafka::{self, Cluster, Consumed, Reader},
};

/// Size of a page: it ends with the letter that reaches this number of bytes.
const MAX_BYTES: usize = 8 << 20;

/// A page of dead letters, in the order of their positions.
#[derive(Debug, Default)]
pub struct LetterPage {
    /// Positions of the letters, one per record of `records`.
    pub positions: Vec<RecordPosition>,
    /// The letters as records of the dead-letter topic.
    pub records: Records,
    /// Where the next page starts. It stays valid.
    pub next: LetterCursor,
    /// Where reading stops: the requested end, or that of the topic.
    pub end: LetterCursor,
    /// Whether further letters may follow before `end`.
    pub more: bool,
}

impl LetterPage {
    /// Reads a page from `topic`. If `cancelled`, it ends early.
    pub(super) fn read(
        cluster: &Cluster,
        topic: &str,
        query: &LetterQuery,
        cancelled: &CancellationToken,
    ) -> Result<Self, kafka::Error> {
        let mut page = Self {
            next: query.after.clone(),
            ..Self::default()
        };
        let ranges = |partition, available: Range<Offset>| {
            let before = query.before.as_ref();
            let end = before.map_or(available.end, |it| it.get(partition).min(available.end));
            page.end.set(partition, end);
            selected_ranges(query, partition, end)
        };
        let mut reader = Reader::open(cluster, topic, ranges)?;
        let filter = match &query.selection {
            LetterSelection::Matching(filter) => filter,
            LetterSelection::At(_) => &LetterFilter::default(),
        };
        while !cancelled.is_cancelled()
            && let Some(record) = reader.read()?
        {
            page.next.set(record.partition(), record.offset().next());
            page.push_matching(&record, filter);
            if page.positions.len() >= query.limit || page.records.byte_len() >= MAX_BYTES {
                page.more = reader.has_more();
                break;
            }
        }
        Ok(page)
    }

    fn push_matching(&mut self, record: &Consumed<'_>, filter: &LetterFilter) {
        let (timestamp, flags) = record.timestamp();
        let letter = Letter::read(record.headers());
        let of_record = letter.timestamp(timestamp);
        if !filter.matches(letter.failure.as_ref(), of_record, record.value()) {
            return;
        }
        self.positions.push(RecordPosition {
            partition: record.partition(),
            offset: record.offset(),
        });
        let (key, value) = (record.key(), record.value());
        self.records
            .push(key, value, record.headers(), timestamp, flags);
    }
}

/// Returns the ranges of a partition that hold the selected letters.
fn selected_ranges(query: &LetterQuery, partition: Partition, end: Offset) -> Vec<Range<Offset>> {
    let after = query.after.get(partition);
    match &query.selection {
        LetterSelection::Matching(_) => vec![after..end],
        LetterSelection::At(positions) => {
            let here = positions.0.iter().filter(|at| at.partition == partition);
            here.map(|at| at.offset.max(after)..at.offset.next().min(end))
                .collect()
        }
    }
}
