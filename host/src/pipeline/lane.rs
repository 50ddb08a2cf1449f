//! One partition on its way from the consumer to its worker: the batch that is being filled.

use std::sync::Arc;

use crate::{
    event::{Partition, RawBatch},
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
    pub(super) paused: bool,
}

impl Lane {
    pub(super) fn new(topic: &Arc<str>, partition: Partition) -> Self {
        Self {
            open: RawBatch::new(Arc::clone(topic), partition),
            paused: false,
        }
    }

    /// Whether the record would push a batch that has others over its bytes.
    pub(super) fn is_too_full_for(&self, record: &Consumed<'_>) -> bool {
        overflows(&self.open, record.key(), record.value())
    }

    /// Appends a record; answers whether the batch is full now.
    pub(super) fn push(&mut self, record: &Consumed<'_>) -> bool {
        let (timestamp, flags) = record.timestamp();
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
    pub(super) fn take(&mut self) -> Option<RawBatch> {
        if self.open.is_empty() {
            return None;
        }
        let next = self.open.empty_like();
        Some(std::mem::replace(&mut self.open, next))
    }
}
