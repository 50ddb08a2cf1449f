//! The records of a batch as they were consumed, found again by offset.

use crate::event::{Batch, Offset, RecordRef, Unreadable};

/// What dead letters are made of.
pub(super) struct Originals<'a> {
    pub batch: &'a Batch,
    pub unreadable: &'a Unreadable,
}

impl Originals<'_> {
    /// One that is of this batch.
    pub(super) fn record(&self, offset: Offset) -> RecordRef<'_> {
        match self.batch.offsets.binary_search(&offset.0) {
            Ok(i) => self.batch.record(i),
            Err(_) => {
                let found = self.unreadable.offsets.binary_search(&offset);
                self.unreadable
                    .records
                    .get(found.expect("it is of this batch"))
            }
        }
    }
}
