//! Transactions in a partition: beginning and ending them, and reading only what is decided.

use std::io;

use bytes::Bytes;

use super::{
    partition_log::{AppendError, LogBounds, PartitionLog},
    producer_state::transactions::AbortedTxn,
    read::ReadError,
};
use crate::{
    clock::now_ms,
    ids::{Offset, Producer},
    record::{
        batch::RecordBatchHeader,
        control_batch::{ControlBatch, Outcome},
    },
};

/// The records that a reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// All records.
    Uncommitted,
    /// The records before the last stable offset. The reader itself skips those of aborted transactions.
    Committed,
}

impl LogBounds {
    /// Returns the offset at which the log ends for a reader with this isolation level.
    pub(crate) fn end_for(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::Uncommitted => self.end,
            Isolation::Committed => self.stable,
        }
    }
}

impl PartitionLog {
    /// Accepts transactional batches of this producer from now on, until its transaction is ended.
    pub(crate) fn begin_transaction(&self, producer: Producer) {
        self.with_transactions(|transactions| transactions.admit(producer));
    }

    /// Ends the transaction of a producer with a control batch, after which none of its batches is accepted.
    ///
    /// Ending a transaction twice does no harm: the second control batch has nothing left to end.
    pub(crate) fn end_transaction(
        &self,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<(), AppendError> {
        let batch = ControlBatch { producer, outcome }.encode(now_ms());
        let header = RecordBatchHeader::parse(&batch).map_err(io::Error::other)?;
        self.append_control_batch(&header, &batch)
    }

    /// Returns the producers that have open transactions in this log but none with the coordinator.
    pub(crate) fn orphans(&self) -> Vec<Producer> {
        self.with_transactions(|transactions| transactions.orphans())
    }

    /// Reads as [`PartitionLog::read`] does, but only up to the last stable offset, and returns the aborted transactions
    /// among the records as well.
    pub(crate) fn read_committed(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, Vec<AbortedTxn>, LogBounds), ReadError> {
        let (mut bytes, bounds) = self.read(from, max_bytes, at_least_one)?;
        let (length, to) = stable_prefix(&bytes, bounds.stable);
        bytes.truncate(length);
        let aborted = self.with_transactions(|transactions| transactions.aborted_in(from, to));
        Ok((bytes, aborted, bounds))
    }

    /// Returns the number of bytes that a reader with this isolation level can get from one segment at `from`.
    pub(crate) fn bytes_for(&self, isolation: Isolation, from: Offset) -> Result<u64, ReadError> {
        let bytes = self.bytes_since(from)?;
        let stable = self.bounds().stable;
        if isolation == Isolation::Uncommitted || stable <= from {
            return Ok(bytes);
        }
        Ok(bytes.saturating_sub(self.bytes_since(stable)?))
    }
}

/// Returns the size of the batches before `stable`, and the offset after their last record.
fn stable_prefix(bytes: &[u8], stable: Offset) -> (usize, Offset) {
    let (mut length, mut next) = (0, Offset(0));
    while let Ok(header) = RecordBatchHeader::parse(&bytes[length..])
        && header.base_offset < stable
    {
        length += header.size;
        next = header.next_offset();
    }
    (length, next)
}
