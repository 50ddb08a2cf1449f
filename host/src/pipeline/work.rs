//! A batch on a worker's desk, before and after the chain has handled it.

use std::sync::Arc;

use super::{
    effects::Effects, lane::Parcel, originals::Originals, outbox::Outbox, restore::Restore,
    tenure::Tenure,
};
use crate::{
    event::{Batch, Offset, Partition, Unreadable},
    kafka::Position,
};

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

/// A batch that the chain has handled, and what is to come of it.
pub(super) struct Handled {
    pub work: Work,
    pub effects: Effects,
    pub outbox: Outbox,
    /// Where its partition stands once that has come about.
    pub position: Position,
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
