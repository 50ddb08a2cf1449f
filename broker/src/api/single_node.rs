//! The APIs about what a single node without users does not have: ACLs, passwords, quotas, reassignments, elections and a quorum.
//! Administration tools ask for them, and show an error in its place if they get no answer.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
        DescribeAclsResponse, DescribeClientQuotasResponse, DescribeQuorumRequest,
        DescribeQuorumResponse, DescribeUserScramCredentialsRequest,
        DescribeUserScramCredentialsResponse, ElectLeadersRequest, ElectLeadersResponse,
        ListPartitionReassignmentsResponse,
        create_acls_response::AclCreationResult,
        delete_acls_response::DeleteAclsFilterResult,
        describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
        describe_user_scram_credentials_response::DescribeUserScramCredentialsResult,
        elect_leaders_request::TopicPartitions,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
    protocol::StrBytes,
};

use super::{NODE, text};
use crate::{ids::PartitionId, record::batch::LEADER_EPOCH, shared::Shared};

/// The reason of Kafka without an authorizer.
const NO_ACLS: &str = "No Authorizer is configured.";
/// The only topic that has a quorum in Kafka, with one partition.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Stands for an offset or a time that does not exist.
const UNKNOWN: i64 = -1;
/// The first version that has the addresses of the nodes.
const FIRST_VERSION_WITH_NODES: i16 = 2;
/// The kinds of elections: of the preferred replica, and of one that is not in sync.
const ELECTIONS: std::ops::RangeInclusive<i8> = 0..=1;

/// Says that ACLs are disabled, as Kafka does without an authorizer.
pub(crate) fn describe_acls() -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str(NO_ACLS)))
}

/// Refuses each ACL.
pub(crate) fn create_acls(request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str(NO_ACLS)));
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}

/// Refuses each filter.
pub(crate) fn delete_acls(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str(NO_ACLS)));
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}

/// Says that no client has a quota.
pub(crate) fn describe_quotas() -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default().with_entries(Some(Vec::new()))
}

/// Says that no user has a password, which is an error for each user that is named, as in Kafka.
pub(crate) fn describe_users(
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let users = request.users.into_iter().flatten().map(|user| {
        DescribeUserScramCredentialsResult::default()
            .with_user(user.name)
            .with_error_code(ResponseError::ResourceNotFound.code())
    });
    DescribeUserScramCredentialsResponse::default().with_results(users.collect())
}

/// Says that no partition is being moved to another node.
pub(crate) fn list_reassignments() -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}

/// Says that the leaders stay, which is an error for each partition that is named, as in Kafka.
pub(crate) fn elect_leaders(shared: &Shared, request: ElectLeadersRequest) -> ElectLeadersResponse {
    if !ELECTIONS.contains(&request.election_type) {
        return ElectLeadersResponse::default()
            .with_error_code(ResponseError::InvalidRequest.code());
    }
    let elect = |topic: TopicPartitions| {
        let result = |partition: &i32| {
            let found = shared
                .topics
                .partition(&topic.topic, PartitionId(*partition));
            let error = match found {
                Some(_) => ResponseError::ElectionNotNeeded,
                None => ResponseError::UnknownTopicOrPartition,
            };
            PartitionResult::default()
                .with_partition_id(*partition)
                .with_error_code(error.code())
        };
        ReplicaElectionResult::default()
            .with_partition_result(topic.partitions.iter().map(result).collect())
            .with_topic(topic.topic)
    };
    let results = request.topic_partitions.into_iter().flatten().map(elect);
    ElectLeadersResponse::default().with_replica_election_results(results.collect())
}

/// Describes the only node as the whole quorum of the controllers. The log of the metadata does not exist here, so its
/// offsets are unknown.
pub(crate) fn describe_quorum(
    shared: &Shared,
    request: DescribeQuorumRequest,
    version: i16,
) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let is_metadata = topic.topic_name.as_str() == METADATA_TOPIC;
        let partitions = topic.partitions.iter().map(|partition| {
            let response = PartitionData::default().with_partition_index(partition.partition_index);
            match is_metadata && partition.partition_index == 0 {
                true => the_quorum(response),
                false => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        });
        TopicData::default()
            .with_partitions(partitions.collect())
            .with_topic_name(topic.topic_name)
    });
    let response = DescribeQuorumResponse::default().with_topics(topics.collect());
    if version < FIRST_VERSION_WITH_NODES {
        return response;
    }
    let listener = Listener::default()
        .with_name(text("PLAINTEXT"))
        .with_host(text(shared.address.ip().to_string()))
        .with_port(shared.address.port());
    let node = Node::default()
        .with_node_id(NODE)
        .with_listeners(vec![listener]);
    response.with_nodes(vec![node])
}

fn the_quorum(response: PartitionData) -> PartitionData {
    let voter = ReplicaState::default()
        .with_replica_id(NODE)
        .with_log_end_offset(UNKNOWN)
        .with_last_fetch_timestamp(UNKNOWN)
        .with_last_caught_up_timestamp(UNKNOWN);
    response
        .with_leader_id(NODE)
        .with_leader_epoch(LEADER_EPOCH)
        .with_high_watermark(UNKNOWN)
        .with_current_voters(vec![voter])
}
