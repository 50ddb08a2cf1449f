//! Calls of librdkafka, and of the OpenSSL in it, that rdkafka has no safe wrapper for. These files have all `unsafe` code of the Kafka clients.
//!
//! rdkafka's own `poll` reports neither the topic of a partition that has ended nor the partition of an error, and panics on
//! a header whose name is not UTF-8.

mod exit;
mod headers;
mod queue;
mod record;
mod topic;

pub(super) use exit::keep_tls_until_exit;
pub(super) use headers::HeaderList;
pub(super) use queue::{ClientError, ConsumerQueue, QueueEvent, set_held};
pub use record::Consumed;
pub(super) use topic::{TopicDescription, describe_topic};
