//! The segmented files of a partition, and what is known about them in memory.
//!
//! [`Partition`] is the whole of it to the outside: append, read, find by time, delete, sync. A `Segment` is one file, `index`
//! finds in it, a `View` reads it without holding the partition's lock, `recovery` opens a folder from the last
//! `Checkpoint` on, `Producers` remembers the sequence numbers of idempotent producers, and in `Transactions` what is
//! open and what was aborted. Nothing here knows the protocol crate or topics; of those, [`Settings`] is all that comes.

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

pub use config::{Settings, Timestamps};
pub use partition_log::{AppendError, Appended, Partition};
pub use producer_state::Refusal;
pub use producer_state::transactions::{Aborted, Outside};
pub use read::ReadError;
pub use retention::DeleteError;
pub use transactional::Isolation;
