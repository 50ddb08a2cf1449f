//! The clients of a Kafka cluster, and the only module that names rdkafka: a consumer in a group, a reader of whole
//! topics, producers with and without transactions, and requests about topics and the group.
//!
//! It knows nothing of handlers, the store or HTTP.

mod admin;
mod batch_search;
mod client;
mod config;
mod consume_range;
mod consumer;
mod detached;
mod group;
mod native;
mod permissions;
mod plan;
mod produce_error;
mod produced_topics;
mod producer;
mod reader;
mod rebalance;
mod responses;
mod topic_limits;
mod topic_watch;
mod topic_writer;
mod transaction;

pub use admin::{ensure_topics, wait_for_broker};
pub use batch_search::{BatchSearchResult, search_readable};
pub use client::{Cluster, Error};
pub use config::{AutoOffsetReset, Config};
pub use consume_range::ConsumeRange;
pub use consumer::{CommitPosition, CommitStrategy, Consumer, ConsumerEvent, ConsumerOptions};
pub use group::{GroupClient, GroupDescription, GroupMember, GroupPosition, group_positions};
pub use native::Consumed;
pub use permissions::{Permission, Refusals};
pub use plan::NewAssignment;
pub use produce_error::ProduceError;
pub use produced_topics::{PartitionCount, ProducedTopics, TopicFault};
pub use producer::{Delivered, Delivery, OrderedProducer, ProduceFailure, Producer};
pub use reader::Reader;
pub use rebalance::{PartitionProgress, Revocation};
pub use topic_limits::TopicLimits;
pub use topic_writer::TopicWriter;
pub use transaction::{
    GroupMetadata, KeepWaiting, TransactionError, TransactionOffsets, TransactionalProducer,
};

/// Runs a blocking call on a thread of the runtime that may block. A panic is passed on.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
