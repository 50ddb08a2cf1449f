//! The handlers of the APIs, one file per family. They translate requests into calls of the coordinators, topics and
//! logs, and the results into responses.

pub(crate) mod configs;
pub(crate) mod delete_records;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod groups;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod produce;
pub(crate) mod single_node;
pub(crate) mod topics;
pub(crate) mod transactions;

use std::net::IpAddr;

use kafka_protocol::{error::ResponseError, messages::BrokerId, protocol::StrBytes};

use crate::{
    Error,
    log::Isolation,
    record::batch::LEADER_EPOCH,
    topics::{ChangeError, TopicError},
};

/// The id of the only node, as broker, controller and coordinator.
pub(crate) const NODE: BrokerId = BrokerId(1);

/// Why a request is refused: the error code, and the reason in words.
pub(crate) type Refusal = (ResponseError, String);

/// The largest size of an error message, in bytes.
const MAX_MESSAGE: usize = 1_000;

/// The client that sent a request.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The client id that the client gave itself; may be empty.
    pub(crate) client_id: String,
    /// The address that it connects from.
    pub(crate) host: IpAddr,
}

/// Returns a string of the protocol crate.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// Returns the message for an error code, cut to a limited size.
///
/// A reason may quote a long value of the request, while older versions limit strings to 32 kB.
pub(crate) fn error_message(mut reason: String) -> Option<StrBytes> {
    reason.truncate(reason.floor_char_boundary(MAX_MESSAGE));
    Some(text(reason))
}

/// Checks the leader epoch that a client expects; -1 means that it expects none.
pub(crate) fn check_leader_epoch(claimed: i32) -> Result<(), ResponseError> {
    match claimed {
        ..0 | LEADER_EPOCH => Ok(()),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// Decodes Kafka's `IsolationLevel`: 1 is read_committed.
pub(crate) fn isolation(level: i8) -> Isolation {
    match level {
        1 => Isolation::Committed,
        _ => Isolation::Uncommitted,
    }
}

/// Returns code and reason of an error of a topic.
pub(crate) fn topic_refusal(error: TopicError) -> Refusal {
    (ResponseError::from(&error), error.to_string())
}

/// Logs a storage error with its cause, and returns its error code.
pub(crate) fn storage_error(error: &(dyn std::error::Error + 'static)) -> ResponseError {
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
            // Kafka refuses an excessive number of partitions with this one.
            TopicError::Descriptors { .. } => ResponseError::PolicyViolation,
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
