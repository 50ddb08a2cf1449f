//! What transactions add to a partition: admitting and ending them, and reading no further than they are settled.

use std::io;

use bytes::Bytes;

use super::partition_log::{AppendError, Bounds, Partition};
use super::read::ReadError;
use super::producer_state::transactions::Aborted;
use crate::record::batch::Header;
use crate::clock::now_ms;
use crate::ids::{Offset, Producer};
use crate::record::control_batch::{self, Outcome};

/// Which records a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All.
    Uncommitted,
    /// Those before the last stable offset; it passes over the aborted ones by itself.
    Committed,
}

impl Bounds {
    /// Where such a reader's log ends.
    pub fn end_for(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::Uncommitted => self.end,
            Isolation::Committed => self.stable,
        }
    }
}

impl Partition {
    /// From now on the transactional batches of this producer are accepted, until its transaction is ended.
    pub fn begin_transaction(&self, producer: Producer) {
        self.with_transactions(|transactions| transactions.admit(producer));
    }

    /// Ends the producer's transaction with a marker, after which no batch of it is accepted.
    ///
    /// Ending one again does no harm: a second marker has nothing left to end.
    pub fn end_transaction(&self, producer: Producer, outcome: Outcome) -> Result<(), AppendError> {
        let batch = control_batch::encode(producer, outcome, now_ms());
        let header = Header::parse(&batch).map_err(io::Error::other)?;
        self.append_marker(&header, &batch)
    }

    /// Producers whose records here no transaction of the coordinator accounts for.
    pub fn orphans(&self) -> Vec<Producer> {
        self.with_transactions(|transactions| transactions.orphans())
    }

    /// The committed records from `from` on, as [`Partition::read`]: whole batches that end where something is open,
    /// and the aborted stretches among them.
    pub fn read_committed(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, Vec<Aborted>, Bounds), ReadError> {
        let (mut bytes, bounds) = self.read(from, max_bytes, at_least_one)?;
        let (length, to) = settled(&bytes, bounds.stable);
        bytes.truncate(length);
        let aborted = self.with_transactions(|transactions| transactions.aborted_in(from, to));
        Ok((bytes, aborted, bounds))
    }

    /// Bytes that such a reader could get at `from` from one segment.
    pub fn bytes_for(&self, isolation: Isolation, from: Offset) -> Result<u64, ReadError> {
        let bytes = self.bytes_since(from)?;
        let stable = self.bounds().stable;
        if isolation == Isolation::Uncommitted || stable <= from {
            return Ok(bytes);
        }
        Ok(bytes.saturating_sub(self.bytes_since(stable)?))
    }
}

/// How many of the bytes are batches before `stable`, and the offset after their last record.
fn settled(bytes: &[u8], stable: Offset) -> (usize, Offset) {
    let (mut length, mut next) = (0, Offset(0));
    while let Ok(header) = Header::parse(&bytes[length..])
        && header.base_offset < stable
    {
        length += header.size;
        next = header.next_offset();
    }
    (length, next)
}
