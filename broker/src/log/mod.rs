//! The log of a partition: its segment files, and what is known of them in memory.
//!
//! The rest of the crate uses [`PartitionLog`]: append, read, find by time, delete records, sync. It consists of
//! `LogSegment`s, of which each is one file with an `OffsetIndex`. A `SegmentView` reads a segment without the lock of the
//! log. `validation` checks the records of a batch before it is appended. `recovery` opens a folder, beginning at its last
//! `Checkpoint`. `ProducerStateManager` keeps the sequence numbers of idempotent producers, and which transactions are open
//! or were aborted. `LogCleaner` compacts.
//!
//! Nothing here knows the protocol crate or topics: the settings of a topic arrive as a [`LogConfig`].

mod batch_reader;
mod checkpoint;
mod cleaner;
mod config;
mod offset_index;
mod partition_log;
mod producer_state;
mod read;
mod recovery;
mod retention;
mod segment;
mod segment_view;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod transactional;
mod validation;

pub(crate) use config::{LogConfig, Timestamps};
pub(crate) use partition_log::{AppendError, AppendInfo, PartitionLog};
pub(crate) use producer_state::{
    ProducerRefusal,
    transactions::{AbortedTxn, TransactionMismatch},
};
pub(crate) use read::ReadError;
pub(crate) use retention::DeleteError;
pub(crate) use transactional::Isolation;
pub(crate) use validation::RecordFault;
#[cfg(any(test, fuzzing))]
pub(crate) use validation::check as check_records;
