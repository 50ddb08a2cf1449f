//! The data that all other modules share: Eventos, the Kafka records that carry them, and what handlers return. It
//! knows nothing about brokers, engines and sockets, and does no I/O.

mod assigned;
mod batch;
mod columns;
mod dead_letter_reason;
mod evento;
mod json_bytes;
mod letter;
mod outcome;
mod partitions;
mod record;
mod view;

pub use assigned::{AssignedPartitions, AssignmentPhase, PartitionStatus};
pub use batch::{Batch, Unreadable};
pub use columns::{ColumnFault, Headers, RecordRef, Records, Texts, flag};
pub use dead_letter_reason::{DeadLetterReason, FailureKind};
pub use evento::{
    BYTE_ORDER_MARK, EventoLimits, EventoRef, Fault, Id, NotAnEvento, without_byte_order_mark,
};
pub use json_bytes::JsonBytes;
pub use letter::Letter;
pub use outcome::{Emission, HandlerOutput, Outcome, Outcomes, OutcomesFault, Verdict};
pub use partitions::{NotPartitions, Partitions, TopicPartition};
pub use record::{Header, NotATopicId, Offset, Partition, Timestamp, TopicId};
pub use view::{CommitMetadata, NotAViewStart, ViewStart};
