//! A batch on a worker's desk.

use std::sync::Arc;

use super::{lane::Parcel, restore::Restore, tenure::Tenure};
use crate::event::{Batch, Offset, Partition, Unreadable};

/// A batch with what its records were read as.
pub(super) struct Work {
    pub partition: Partition,
    /// Those that are no Eventos too.
    pub records: u64,
    pub next: Option<Offset>,
    pub batch: Arc<Batch>,
    pub unreadable: Unreadable,
    /// They were handled before: only the view is to be had of them.
    pub replayed: bool,
    pub restore: Option<Arc<Restore>>,
    pub tenure: Tenure,
}

impl From<Parcel> for Work {
    fn from(parcel: Parcel) -> Self {
        let Parcel {
            batch: raw,
            replayed,
            restore,
            tenure,
        } = parcel;
        let (partition, records) = (raw.partition, raw.len() as u64);
        let next = raw.next_offset();
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
