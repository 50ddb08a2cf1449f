//! Reading a page of letters: never more than fits.

use std::ops::Range;

use tokio_util::sync::CancellationToken;

use super::{Choice, Cursor, Filter, Inner, Position, Which};
use crate::{
    event::{Letter, Offset, Partition, Records},
    kafka::{self, Consumed, Reader},
};

/// A page ends once its letters have so many bytes.
const MAX_BYTES: usize = 8 << 20;

/// Some letters in the order of their positions.
#[derive(Debug, Default)]
pub struct Page {
    /// One a letter.
    pub positions: Vec<Position>,
    /// The letters as the topic has them.
    pub records: Records,
    /// Where to go on, now or at any time later.
    pub next: Cursor,
    /// Where the letters ended that it was to be taken from.
    pub end: Cursor,
    /// Whether there may be more already.
    pub more: bool,
}

impl Page {
    /// Reads as much as a page takes. It stops early, with less, once nobody wants it any more.
    pub(super) fn read(
        from: &Inner,
        choice: &Choice,
        gone: &CancellationToken,
    ) -> Result<Self, kafka::Error> {
        let mut page = Self {
            next: choice.after.clone(),
            ..Self::default()
        };
        let chosen = |partition, holds: Range<Offset>| {
            let before = choice.before.as_ref();
            let end = before.map_or(holds.end, |before| before.get(partition).min(holds.end));
            page.end.set(partition, end);
            stretches(choice, partition, end)
        };
        let mut reader = Reader::open(&from.cluster, &from.topic, chosen)?;
        let filter = match &choice.which {
            Which::Matching(filter) => filter,
            Which::At(_) => &Filter::default(),
        };
        while !gone.is_cancelled()
            && let Some(record) = reader.read()?
        {
            page.next.set(record.partition(), record.offset().next());
            page.take(&record, filter);
            if page.positions.len() >= choice.limit || page.records.byte_len() >= MAX_BYTES {
                page.more = reader.has_more();
                break;
            }
        }
        Ok(page)
    }

    fn take(&mut self, record: &Consumed<'_>, filter: &Filter) {
        let (timestamp, flags) = record.timestamp();
        let letter = Letter::read(record.headers());
        if !filter.matches(letter.failure.as_ref(), timestamp, record.value()) {
            return;
        }
        self.positions.push(Position {
            partition: record.partition(),
            offset: record.offset(),
        });
        let (key, value) = (record.key(), record.value());
        self.records
            .push(key, value, record.headers(), timestamp, flags);
    }
}

fn stretches(choice: &Choice, partition: Partition, end: Offset) -> Vec<Range<Offset>> {
    let after = choice.after.get(partition);
    match &choice.which {
        Which::Matching(_) => vec![after..end],
        Which::At(positions) => {
            let here = positions.0.iter().filter(|at| at.partition == partition);
            here.map(|at| at.offset.max(after)..at.offset.next().min(end))
                .collect()
        }
    }
}
