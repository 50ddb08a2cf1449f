//! The data that all other modules share: Eventos, the Kafka records that carry them, and what handlers return. It
//! knows nothing about brokers, engines and sockets, and does no I/O.

mod batch;
mod columns;
mod evento;
mod failure;
mod letter;
mod outcome;
mod partitions;
mod raw;
mod record;
mod view;

pub use batch::Batch;
pub use columns::{ColumnFault, Headers, RecordRef, Records, Texts, flag};
pub use evento::{EventoRef, Fault, Id, NotAnEvento};
pub use failure::Failure;
pub use letter::Letter;
pub use outcome::{Emission, HandlerOutput, Outcome, Outcomes, OutcomesFault, Verdict};
pub use partitions::{NotPartitions, Partitions};
pub use raw::{RawBatch, Unreadable};
pub use record::{Header, Offset, Partition, Timestamp};
pub use view::{NotAViewStart, ViewStart};
