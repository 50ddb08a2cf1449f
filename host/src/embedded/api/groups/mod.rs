//! The calls of consumer groups: membership, committed offsets, and administration.

pub mod describe;
pub mod membership;
pub mod offset_delete;
pub mod offsets;

use kafka_protocol::error::ResponseError;

use crate::embedded::groups::GroupError;

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

fn code(result: Result<(), GroupError>) -> i16 {
    match result {
        Ok(()) => 0,
        Err(error) => ResponseError::from(&error).code(),
    }
}
