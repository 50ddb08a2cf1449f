//! `JoinGroup`, `SyncGroup`, `Heartbeat` and `LeaveGroup`.

use std::time::Duration;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
        LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
        join_group_response::JoinGroupResponseMember, leave_group_request::MemberIdentity,
        leave_group_response::MemberResponse,
    },
    protocol::StrBytes,
};

use super::code;
use crate::{
    api::{Caller, text},
    coordinator::group::{GroupError, JoinReply, JoinRequest, ReplyReceiver, SyncRequest},
    shared::Shared,
};

/// The first version in which a new member joins twice, the second time with the id that it got (KIP-394).
const FIRST_VERSION_WITH_ID_REQUIRED: i16 = 4;
/// The first version in which several members can leave with one request.
const FIRST_VERSION_OF_MANY_LEAVING: i16 = 3;

/// Joins a group; returns when the rebalance is complete.
pub(crate) async fn join(
    shared: &Shared,
    caller: &Caller,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    let session_timeout = millis(request.session_timeout_ms);
    let rebalance_timeout = match request.rebalance_timeout_ms {
        // Version 0 does not have this field.
        ..0 => session_timeout,
        ms => millis(ms),
    };
    let protocols = request
        .protocols
        .into_iter()
        .map(|p| (p.name.to_string(), p.metadata));
    let join = JoinRequest {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        client_id: caller.client_id.clone(),
        client_host: format!("/{}", caller.host),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        id_required: version >= FIRST_VERSION_WITH_ID_REQUIRED,
    };
    match wait(shared.groups.join(&request.group_id, join)).await {
        Ok(joined) => join_response(joined),
        Err(error) => {
            let member_id = match &error {
                GroupError::MemberIdRequired(id) => text(id),
                _ => request.member_id,
            };
            JoinGroupResponse::default()
                .with_error_code(ResponseError::from(&error).code())
                .with_generation_id(-1)
                .with_protocol_name(Some(StrBytes::default()))
                .with_member_id(member_id)
        }
    }
}

fn join_response(joined: JoinReply) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

/// Returns the assignment of a member, once the leader has sent it.
pub(crate) async fn sync(shared: &Shared, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request.assignments.into_iter();
    let sync = SyncRequest {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_deref().map(str::to_owned),
        protocol: request.protocol_name.as_deref().map(str::to_owned),
        assignments: assignments
            .map(|a| (a.member_id.to_string(), a.assignment))
            .collect(),
    };
    match wait(shared.groups.sync(&request.group_id, sync)).await {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(text(synced.protocol_type)))
            .with_protocol_name(Some(text(synced.protocol)))
            .with_assignment(synced.assignment),
        Err(error) => {
            SyncGroupResponse::default().with_error_code(ResponseError::from(&error).code())
        }
    }
}

/// Keeps a member alive.
pub(crate) fn heartbeat(shared: &Shared, request: &HeartbeatRequest) -> HeartbeatResponse {
    HeartbeatResponse::default().with_error_code(code(shared.groups.heartbeat(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        request.generation_id,
    )))
}

/// Removes members; each succeeds or fails by itself.
pub(crate) fn leave(
    shared: &Shared,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let leave = |member: &MemberIdentity| {
        let instance = member.group_instance_id.as_deref();
        code(
            shared
                .groups
                .leave(&request.group_id, &member.member_id, instance),
        )
    };
    if version < FIRST_VERSION_OF_MANY_LEAVING {
        let member = MemberIdentity::default().with_member_id(request.member_id.clone());
        return LeaveGroupResponse::default().with_error_code(leave(&member));
    }
    let members = request.members.iter().map(|member| {
        MemberResponse::default()
            .with_error_code(leave(member))
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

async fn wait<T>(reply: ReplyReceiver<T>) -> Result<T, GroupError> {
    // If the group is deleted while the member waits, the member has to join again.
    reply.await.unwrap_or(Err(GroupError::UnknownMember))
}

/// Converts milliseconds; a negative duration counts as zero.
fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
