//! The APIs of consumer groups: membership, committed offsets, and administration.

pub(crate) mod describe;
pub(crate) mod membership;
pub(crate) mod offset_delete;
pub(crate) mod offsets;

use kafka_protocol::{error::ResponseError, messages::ConsumerGroupHeartbeatResponse};

use crate::coordinator::group::GroupError;

impl From<&GroupError> for ResponseError {
    fn from(error: &GroupError) -> ResponseError {
        match error {
            GroupError::InvalidGroup => ResponseError::InvalidGroupId,
            GroupError::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
            GroupError::MemberIdRequired(_) => ResponseError::MemberIdRequired,
            GroupError::UnknownMember => ResponseError::UnknownMemberId,
            GroupError::FencedInstance => ResponseError::FencedInstanceId,
            GroupError::IllegalGeneration => ResponseError::IllegalGeneration,
            GroupError::RebalanceInProgress => ResponseError::RebalanceInProgress,
            GroupError::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
        }
    }
}

/// `ConsumerGroupHeartbeat`: refuses the group protocol of KIP-848, as a Kafka does whose
/// `group.coordinator.rebalance.protocols` is only `classic`.
///
/// The API is in the table nevertheless: a client that does not find it there waits for ever for a coordinator that has
/// it, while it shows this error.
pub(crate) fn refuse_new_protocol() -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
}

fn code(result: Result<(), GroupError>) -> i16 {
    match result {
        Ok(()) => 0,
        Err(error) => ResponseError::from(&error).code(),
    }
}
