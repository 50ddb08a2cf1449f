//! One partition on its way from the consumer to its worker: the batch that is being filled.

use std::sync::Arc;

use super::{ahead::Ahead, restore::Restore, tenure::Tenure};
use crate::{
    event::{Offset, Partition, RawBatch},
    kafka::Consumed,
};

/// A batch is handed over at so many records …
const MAX_RECORDS: usize = 1_024;

/// … or bytes, whichever comes first. A record that is larger alone makes a batch alone.
const MAX_BYTES: usize = 1 << 20;

/// Whether a record of this key and value would push a batch that has others over its bytes.
pub(super) fn overflows(batch: &RawBatch, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
    let more = value.map_or(0, <[u8]>::len) + key.map_or(0, <[u8]>::len);
    !batch.is_empty() && batch.byte_len() + more > MAX_BYTES
}

/// Whether a batch takes no more.
pub(super) fn is_full(batch: &RawBatch) -> bool {
    batch.len() >= MAX_RECORDS || batch.byte_len() >= MAX_BYTES
}

pub(super) struct Lane {
    open: RawBatch,
    /// Whether the records of the open batch were handled before.
    replayed: bool,
    restore: Option<Arc<Restore>>,
    tenure: Tenure,
    pub(super) ahead: Ahead,
    pub(super) paused: bool,
}

/// A batch on its way to its worker.
pub(super) struct Parcel {
    pub(super) batch: RawBatch,
    /// Where its partition stands once it is done.
    pub(super) next: Offset,
    /// Its records were handled before: only the view is to be had of them.
    pub(super) replayed: bool,
    /// Told of how far the view has come, until that is restored.
    pub(super) restore: Option<Arc<Restore>>,
    /// In which its records were consumed.
    pub(super) tenure: Tenure,
}

impl Lane {
    pub(super) fn new(
        topic: &Arc<str>,
        partition: Partition,
        tenure: Tenure,
        restore: Option<Arc<Restore>>,
    ) -> Self {
        Self {
            open: RawBatch::new(Arc::clone(topic), partition),
            replayed: false,
            restore,
            tenure,
            ahead: Ahead::default(),
            paused: false,
        }
    }

    /// Whether the open batch, which has others, cannot take the record: for its bytes, or since it is the first that was
    /// never handled.
    pub(super) fn is_closed_to(&self, record: &Consumed<'_>) -> bool {
        let ends_replay = self.replayed && !self.is_replayed(record.offset());
        (ends_replay && self.is_open()) || overflows(&self.open, record.key(), record.value())
    }

    /// The view is restored: nobody needs to be told any more.
    pub(super) fn restored(&mut self) {
        // What is replayed never comes after that, so what is open is not.
        self.restore = None;
    }

    pub(super) fn is_restoring(&self) -> bool {
        self.restore.is_some()
    }

    /// There is no more in the partition for now, and the open batch was handed over.
    pub(super) fn ended(&self) {
        if let Some(restore) = &self.restore {
            restore.ended();
        }
    }

    fn is_replayed(&self, offset: Offset) -> bool {
        let restore = self.restore.as_ref();
        restore.is_some_and(|restore| restore.is_replayed(offset))
    }

    /// Appends a record; answers whether the batch is full now.
    pub(super) fn push(&mut self, record: &Consumed<'_>) -> bool {
        let (timestamp, flags) = record.timestamp();
        self.replayed = self.is_replayed(record.offset());
        self.open.push(
            record.offset(),
            record.key(),
            record.value(),
            record.headers(),
            timestamp,
            flags,
        );
        is_full(&self.open)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes what is there, if anything.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        let next = self.open.next_offset()?;
        if let Some(restore) = &self.restore {
            restore.handed(next);
        }
        let empty = self.open.empty_like();
        Some(Parcel {
            next,
            batch: std::mem::replace(&mut self.open, empty),
            replayed: self.replayed,
            restore: self.restore.clone(),
            tenure: self.tenure,
        })
    }
}
