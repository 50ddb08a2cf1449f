//! A batch on a worker's desk.

use std::sync::Arc;

use super::{
    assignment::{Parcel, Tenure},
    restore::Restore,
};
use crate::event::{Batch, Offset, Partition, RecordRef, Unreadable};

/// A batch with what its records were read as.
pub(super) struct Work {
    pub partition: Partition,
    /// Those that are no Eventos too.
    pub records: u64,
    /// Where its partition stands once it is done.
    pub next: Offset,
    pub batch: Arc<Batch>,
    pub unreadable: Unreadable,
    /// They were handled before: only the view is to be had of them.
    pub replayed: bool,
    pub restore: Option<Arc<Restore>>,
    pub tenure: Tenure,
}

impl Work {
    pub(super) fn originals(&self) -> Originals<'_> {
        Originals {
            batch: &self.batch,
            unreadable: &self.unreadable,
        }
    }
}

impl From<Parcel> for Work {
    fn from(parcel: Parcel) -> Self {
        let Parcel {
            batch: raw,
            next,
            replayed,
            restore,
            tenure,
        } = parcel;
        let (partition, records) = (raw.partition, raw.len() as u64);
        let (batch, unreadable) = raw.read();
        Self {
            partition,
            records,
            next,
            batch: Arc::new(batch),
            unreadable,
            replayed,
            restore,
            tenure,
        }
    }
}

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
