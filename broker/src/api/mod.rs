//! One file a family of calls: from the wire's types to the broker's own, and back. Only these files and `dispatch`
//! name the protocol crate.

pub mod configs;
pub mod delete_records;
pub mod describe_log_dirs;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod fetch;
pub mod find_coordinator;
pub mod groups;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;
pub mod topics;
pub mod transactions;

use std::net::IpAddr;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use crate::Error;
use crate::record::batch::LEADER_EPOCH;
use crate::log::Isolation;
use crate::topics::{ChangeError, TopicError};

/// The id of the only node.
pub const NODE: BrokerId = BrokerId(1);

/// The code, and the reason in words.
pub type Refused = (ResponseError, String);

/// The bytes of a reason that a client is told.
const MAX_REASON: usize = 1_000;

/// Who asks.
#[derive(Debug)]
pub struct Caller {
    /// As the client calls itself; may be empty.
    pub client_id: String,
    /// Where it connects from.
    pub host: IpAddr,
}

/// A string as the protocol crate wants it.
pub fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// What to say with an error code. Of a very long reason, which quotes what was asked for, the rest is left out: a
/// text of the older versions has 32 kB at most.
pub fn reason(mut reason: String) -> Option<StrBytes> {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    Some(text(reason))
}

/// Judges the leader epoch that a client believes in; -1 means that it does not say.
pub fn check_leader_epoch(claimed: i32) -> Result<(), ResponseError> {
    match claimed {
        ..0 | LEADER_EPOCH => Ok(()),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// `IsolationLevel` of Kafka: 1 is read_committed.
pub fn isolation(level: i8) -> Isolation {
    match level {
        1 => Isolation::Committed,
        _ => Isolation::Uncommitted,
    }
}

/// Why a topic is not made, altered or deleted.
pub fn refused(error: TopicError) -> Refused {
    (ResponseError::from(&error), error.to_string())
}

/// The protocol's code for a fault of the disk, which is logged here with its cause.
pub fn storage_error(error: &(dyn std::error::Error + 'static)) -> ResponseError {
    let cause = error.source().map(ToString::to_string);
    tracing::error!(%error, cause, "storage error");
    ResponseError::KafkaStorageError
}

impl From<&TopicError> for ResponseError {
    fn from(error: &TopicError) -> ResponseError {
        match error {
            TopicError::Name { .. } => ResponseError::InvalidTopicException,
            TopicError::Exists(_) => ResponseError::TopicAlreadyExists,
            TopicError::Unknown(_) => ResponseError::UnknownTopicOrPartition,
            TopicError::Partitions { .. } => ResponseError::InvalidPartitions,
            TopicError::Change(ChangeError::Repeated(_)) => ResponseError::InvalidRequest,
            TopicError::Change(_) => ResponseError::InvalidConfig,
            TopicError::Storage(error) => storage_error(error),
        }
    }
}

impl From<&Error> for ResponseError {
    fn from(error: &Error) -> ResponseError {
        storage_error(error)
    }
}
