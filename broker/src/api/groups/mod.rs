//! The calls of consumer groups: membership, committed offsets, and administration.

pub mod describe;
pub mod membership;
pub mod offset_delete;
pub mod offsets;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;

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

/// `ConsumerGroupHeartbeat`: the protocol of KIP-848 is switched off, in the words of a Kafka whose
/// `group.coordinator.rebalance.protocols` has only `classic`.
///
/// The call is in the table all the same: a client that does not find it there waits for ever for a coordinator that
/// has it, while this answer is an error that it shows.
pub fn newer_protocol() -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
}

fn code(result: Result<(), GroupError>) -> i16 {
    match result {
        Ok(()) => 0,
        Err(error) => ResponseError::from(&error).code(),
    }
}
