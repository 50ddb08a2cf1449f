//! An error in the form of each API's own response, for what is not supported or cannot be read.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;

use super::length_check;

/// A response that says `error`: for each item of the request where that is the schema's only place for it and the
/// request can be read, else at its head.
///
/// A response with a place at neither is empty. `None` for APIs between the nodes of a cluster and other rarities,
/// which get a bare error code.
pub fn refuse(
    api: ApiKey,
    version: i16,
    body: &Bytes,
    error: ResponseError,
) -> Option<ResponseKind> {
    if let Some(response) = for_each_item(api, version, body, error) {
        return Some(response);
    }
    macro_rules! by_api {
        (head { $($key:ident => $head:ident,)* } empty { $($other:ident => $empty:ident,)* }) => {
            match api {
                $(ApiKey::$key => Some($head::default().with_error_code(error.code()).into()),)*
                $(ApiKey::$other => Some($empty::default().into()),)*
                _ => None,
            }
        };
    }
    by_api! {
        head {
        AddOffsetsToTxn => AddOffsetsToTxnResponse,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatResponse,
        DescribeAcls => DescribeAclsResponse,
        DescribeClientQuotas => DescribeClientQuotasResponse,
        DescribeCluster => DescribeClusterResponse,
        DescribeLogDirs => DescribeLogDirsResponse,
        DescribeUserScramCredentials => DescribeUserScramCredentialsResponse,
        ElectLeaders => ElectLeadersResponse,
        EndTxn => EndTxnResponse,
        Fetch => FetchResponse,
        FindCoordinator => FindCoordinatorResponse,
        GetTelemetrySubscriptions => GetTelemetrySubscriptionsResponse,
        Heartbeat => HeartbeatResponse,
        InitProducerId => InitProducerIdResponse,
        JoinGroup => JoinGroupResponse,
        LeaveGroup => LeaveGroupResponse,
        ListConfigResources => ListConfigResourcesResponse,
        ListGroups => ListGroupsResponse,
        ListPartitionReassignments => ListPartitionReassignmentsResponse,
        ListTransactions => ListTransactionsResponse,
        OffsetDelete => OffsetDeleteResponse,
        OffsetFetch => OffsetFetchResponse,
        PushTelemetry => PushTelemetryResponse,
        SaslAuthenticate => SaslAuthenticateResponse,
        SaslHandshake => SaslHandshakeResponse,
        ShareAcknowledge => ShareAcknowledgeResponse,
        ShareFetch => ShareFetchResponse,
        ShareGroupHeartbeat => ShareGroupHeartbeatResponse,
        SyncGroup => SyncGroupResponse,
        UpdateFeatures => UpdateFeaturesResponse,
        } empty {
        AddPartitionsToTxn => AddPartitionsToTxnResponse,
        AlterConfigs => AlterConfigsResponse,
        ConsumerGroupDescribe => ConsumerGroupDescribeResponse,
        CreatePartitions => CreatePartitionsResponse,
        CreateTopics => CreateTopicsResponse,
        DeleteGroups => DeleteGroupsResponse,
        DeleteRecords => DeleteRecordsResponse,
        DeleteTopics => DeleteTopicsResponse,
        DescribeConfigs => DescribeConfigsResponse,
        DescribeGroups => DescribeGroupsResponse,
        DescribeProducers => DescribeProducersResponse,
        DescribeTopicPartitions => DescribeTopicPartitionsResponse,
        DescribeTransactions => DescribeTransactionsResponse,
        IncrementalAlterConfigs => IncrementalAlterConfigsResponse,
        ListOffsets => ListOffsetsResponse,
        Metadata => MetadataResponse,
        OffsetCommit => OffsetCommitResponse,
        OffsetForLeaderEpoch => OffsetForLeaderEpochResponse,
        Produce => ProduceResponse,
        TxnOffsetCommit => TxnOffsetCommitResponse,
        }
    }
}

/// Those whose clients look for the error with each partition, and the one whose head changed.
fn for_each_item(
    api: ApiKey,
    version: i16,
    body: &Bytes,
    error: ResponseError,
) -> Option<ResponseKind> {
    match (api, version) {
        // It has a place at its head, but not before version 4.
        (ApiKey::AddPartitionsToTxn, 4..) => Some(
            AddPartitionsToTxnResponse::default()
                .with_error_code(error.code())
                .into(),
        ),
        (ApiKey::TxnOffsetCommit, _) => commit_offsets(version, body, error.code()),
        _ => None,
    }
}

fn commit_offsets(version: i16, body: &Bytes, code: i16) -> Option<ResponseKind> {
    length_check::check(ApiKey::TxnOffsetCommit, version, body).ok()?;
    let request = TxnOffsetCommitRequest::decode(&mut body.clone(), version).ok()?;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    let response = TxnOffsetCommitResponse::default();
    Some(response.with_topics(topics.collect()).into())
}
