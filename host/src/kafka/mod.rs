//! Kafka: the only module that names rdkafka. It consumes, reads, produces, in transactions too, creates topics and asks who is
//! in the group, and knows nothing of handlers, the store or HTTP.

mod admin;
mod client;
mod config;
mod consumed;
mod consumer;
mod group;
mod permissions;
mod producer;
mod reader;
mod rebalance;
mod transaction;

pub use admin::{ensure_topics, wait_for_broker};
pub use client::{Cluster, Error};
pub use config::{AutoOffsetReset, Config};
pub use consumed::Consumed;
pub use consumer::{Commits, Consumer, Polled, Position, Terms};
pub use group::{GroupClient, GroupDescription, GroupMember, GroupPosition, group_positions};
pub use permissions::{Permission, Refusals};
pub use producer::{Delivered, Delivery, ProduceError, Producer};
pub use reader::Reader;
pub use rebalance::{Beginning, Notice, Stretch};
pub use transaction::{GoOn, Identity, Positions, TransactionError, Transactional};

/// Runs a blocking call on a thread of the runtime that may block, and passes a panic on.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
