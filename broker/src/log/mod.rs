//! The segmented files of a partition, and what is known about them in memory.
//!
//! [`Partition`] is the whole of it to the outside: append, read, find by time, delete, sync. A `Segment` is one file, `index`
//! finds in it, a `View` reads it without holding the partition's lock, `recovery` opens a folder from the last
//! `Checkpoint` on, `Producers` remembers the sequence numbers of idempotent producers, and in `Transactions` what is
//! open and what was aborted. Nothing here knows the protocol crate or topics; of those, [`Settings`] is all that comes.

mod admission;
mod checkpoint;
mod compaction;
mod index;
mod isolation;
mod lasting;
mod partition;
#[cfg(test)]
mod partition_tests;
mod producers;
mod reader;
mod reading;
mod recovery;
mod retention;
#[cfg(test)]
mod retention_tests;
mod segment;
mod settings;
#[cfg(test)]
mod start_tests;
mod state;
mod transactions;
mod view;

pub use isolation::Isolation;
pub use partition::{AppendError, Appended, Partition};
pub use producers::Refusal;
pub use reading::ReadError;
pub use retention::DeleteError;
pub use settings::{Settings, Timestamps};
pub use transactions::{Aborted, Outside};
