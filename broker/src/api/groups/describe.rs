//! `DescribeGroups`, `ListGroups` and `DeleteGroups`. A group without members exists as long as it has committed offsets, and
//! for up to a minute without.

use std::collections::BTreeMap;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
        GroupId, ListGroupsRequest, ListGroupsResponse,
        delete_groups_response::DeletableGroupResult,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
        list_groups_response::ListedGroup,
    },
};

use crate::{api::text, coordinator::group::GroupState, shared::Shared};

/// The operations on a group that every client may do, as bits of Kafka's `AclOperation`.
const GROUP_OPERATIONS: i32 = 0b1_0100_1000;
/// The protocol type of a group that never had members.
const UNKNOWN_TYPE: &str = "";
/// The type of every group (`GroupType`): the protocol before KIP-848.
const CLASSIC: &str = "classic";
/// The first version that has an error for an unknown group (KIP-1043).
const FIRST_VERSION_OF_NOT_FOUND: i16 = 6;

/// Describes groups with their members and assignments. An unknown group is "Dead", before version 6 without an error.
pub(crate) fn describe(
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
            .with_protocol_type(text(UNKNOWN_TYPE));
        if !known && version >= FIRST_VERSION_OF_NOT_FOUND {
            group.error_code = ResponseError::GroupIdNotFound.code();
            group.error_message = Some(text(format!("group {:?} does not exist", name.as_str())));
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
        .with_group_state(text(state_name(group.state)))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(members.collect())
}

/// Lists the groups, filtered by state and type if the request has such filters.
pub(crate) fn list(shared: &Shared, request: &ListGroupsRequest) -> ListGroupsResponse {
    let committed = shared.offsets.groups().into_iter();
    let mut groups: BTreeMap<String, (String, GroupState)> = committed
        .map(|name| (name, (UNKNOWN_TYPE.to_owned(), GroupState::Empty)))
        .collect();
    for (name, group) in shared.groups.all() {
        groups.insert(name, (group.protocol_type, group.state));
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
        .filter(|(_, (_, state))| classic && wanted(state_name(*state)))
        .map(|(name, (protocol_type, state))| {
            ListedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_protocol_type(text(protocol_type))
                .with_group_state(text(state_name(state)))
                .with_group_type(text(CLASSIC))
        });
    ListGroupsResponse::default().with_groups(listed.collect())
}

/// Deletes the committed offsets of groups without members.
pub(crate) fn delete(shared: &Shared, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|name| {
        let error = if shared.groups.has_members(&name) {
            Some(ResponseError::NonEmptyGroup)
        } else {
            match shared.offsets.remove_group(&name) {
                Ok(had_offsets) => {
                    let had_members = shared.groups.remove_empty(&name);
                    (!had_offsets && !had_members).then_some(ResponseError::GroupIdNotFound)
                }
                Err(error) => Some(ResponseError::from(&error)),
            }
        };
        DeletableGroupResult::default()
            .with_group_id(name)
            .with_error_code(error.map_or(0, |error| error.code()))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

fn state_name(state: GroupState) -> &'static str {
    match state {
        GroupState::Empty => "Empty",
        GroupState::PreparingRebalance => "PreparingRebalance",
        GroupState::CompletingRebalance => "CompletingRebalance",
        GroupState::Stable => "Stable",
    }
}
