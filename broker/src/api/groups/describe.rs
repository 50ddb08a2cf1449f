//! `DescribeGroups`, `ListGroups`, `DeleteGroups`. A group whose members are gone lives on in what it committed.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};

use crate::Shared;
use crate::api::text;
use crate::coordinator::group::Phase;

/// What anybody may do to a group, as the bits of Kafka's `AclOperation`.
const GROUP_OPERATIONS: i32 = 0b1_0100_1000;
/// The protocol type of a group known only by its offsets: it never said one.
const UNSAID: &str = "";
/// The type of every group here (`GroupType`): that of the protocol before KIP-848.
const CLASSIC: &str = "classic";
/// From here on a group that is not known is an error (KIP-1043).
const FIRST_VERSION_OF_NOT_FOUND: i16 = 6;

/// Members and assignments. A group that is not known is "Dead", before version 6 without an error.
pub fn describe(
    shared: &Shared,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let operations = request.include_authorized_operations;
    let groups = request.groups.into_iter().map(|name| {
        let group = describe_one(shared, name, version);
        match operations {
            true => group.with_authorized_operations(GROUP_OPERATIONS),
            false => group,
        }
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_one(shared: &Shared, name: GroupId, version: i16) -> DescribedGroup {
    let Some(group) = shared.groups.describe(&name) else {
        let known = shared.offsets.has_group(&name);
        let state = if known { "Empty" } else { "Dead" };
        let mut group = DescribedGroup::default()
            .with_group_state(text(state))
            .with_protocol_type(text(UNSAID));
        if !known && version >= FIRST_VERSION_OF_NOT_FOUND {
            group.error_code = ResponseError::GroupIdNotFound.code();
            group.error_message = Some(text(format!("there is no group {:?}", name.as_str())));
        }
        return group.with_group_id(name);
    };
    let members = group.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_id(name)
        .with_group_state(text(state_name(group.phase)))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(members.collect())
}

/// Every group, of the states and the types asked for if any are.
pub fn list(shared: &Shared, request: &ListGroupsRequest) -> ListGroupsResponse {
    let committed = shared.offsets.groups().into_iter();
    let mut groups: BTreeMap<String, (String, Phase)> = committed
        .map(|name| (name, (UNSAID.to_owned(), Phase::Empty)))
        .collect();
    for (name, group) in shared.groups.all() {
        groups.insert(name, (group.protocol_type, group.phase));
    }
    let wanted = |state: &str| {
        let mut filter = request.states_filter.iter();
        request.states_filter.is_empty() || filter.any(|wanted| wanted.eq_ignore_ascii_case(state))
    };
    let mut types = request.types_filter.iter();
    let classic =
        request.types_filter.is_empty() || types.any(|wanted| wanted.eq_ignore_ascii_case(CLASSIC));
    let listed = groups
        .into_iter()
        .filter(|(_, (_, phase))| classic && wanted(state_name(*phase)))
        .map(|(name, (protocol_type, phase))| {
            ListedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_protocol_type(text(protocol_type))
                .with_group_state(text(state_name(phase)))
                .with_group_type(text(CLASSIC))
        });
    ListGroupsResponse::default().with_groups(listed.collect())
}

/// Forgets what groups without members committed.
pub fn delete(shared: &Shared, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|name| {
        let has_members = shared
            .groups
            .describe(&name)
            .is_some_and(|group| group.phase != Phase::Empty);
        let error = if has_members {
            Some(ResponseError::NonEmptyGroup)
        } else {
            match shared.offsets.remove_group(&name) {
                Ok(true) => {
                    shared.groups.forget_empty(&name);
                    None
                }
                Ok(false) => Some(ResponseError::GroupIdNotFound),
                Err(error) => Some(ResponseError::from(&error)),
            }
        };
        DeletableGroupResult::default()
            .with_group_id(name)
            .with_error_code(error.map_or(0, |error| error.code()))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

fn state_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "Empty",
        Phase::PreparingRebalance => "PreparingRebalance",
        Phase::CompletingRebalance => "CompletingRebalance",
        Phase::Stable => "Stable",
    }
}
