//! The segmented files of a partition, and what is known about them in memory.
//!
//! [`Partition`] is the whole of it to the outside: append, read, find by time. A `Segment` is one file and its sparse
//! index, a `View` reads one without holding the partition's lock, `recovery` opens a folder, `Producers` remembers
//! the sequence numbers of idempotent producers, and in `Transactions` what is open and what was aborted. Nothing here knows the protocol crate or topics.

mod isolation;
mod partition;
mod producers;
mod recovery;
mod segment;
mod settings;
mod transactions;
mod view;

pub use isolation::Isolation;
pub use partition::{AppendError, Appended, DeleteError, Partition, ReadError};
pub use producers::Refusal;
pub use settings::{Settings, Timestamps};
pub use transactions::{Aborted, Outside};
