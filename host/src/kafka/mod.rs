//! Kafka: the only module that names rdkafka. It consumes, reads, produces, in transactions too, creates topics and asks who is
//! in the group, and knows nothing of handlers, the store or HTTP.

mod admin;
mod assignment;
mod client;
mod config;
mod connection;
mod consumed;
mod consumer;
mod delivery;
mod membership;
mod offsets;
mod producer;
mod progress;
mod reader;
mod rebalance;
mod renewable;
mod roster;
mod transaction;

pub use admin::{ensure_topics, wait_for_broker};
pub use client::Error;
pub use config::{AutoOffsetReset, Config};
pub use consumed::Consumed;
pub use consumer::{Commits, Consumer, Notice, Polled, Terms};
pub use delivery::{Delivered, Delivery, ProduceError};
pub use offsets::Position;
pub use producer::Producer;
pub use progress::{Progress, progress};
pub use reader::Reader;
pub use rebalance::{Beginning, Stretch};
pub use roster::{Member, Roll, Roster};
pub use transaction::{GoOn, Identity, Positions, TransactionError, Transactional};

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
