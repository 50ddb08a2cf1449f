//! Errors in the form of the response of each API, for requests that are not supported or cannot be decoded.

use bytes::Bytes;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        txn_offset_commit_response::{
            TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
        },
        *,
    },
    protocol::Decodable,
};

use super::{apis::Api, length_check};

/// Returns a response of the API that has `error` at its top level.
///
/// Where the schema has an error only for each item and the request can be decoded, each item gets it; where it has none
/// at all, the response is empty. Returns `None` for the APIs between the nodes of a cluster and other rare ones, whose
/// clients get a bare error code.
pub(crate) fn build(
    api: ApiKey,
    version: i16,
    body: &Bytes,
    error: ResponseError,
) -> Option<ResponseKind> {
    for_each_item(api, version, body, error)
        .or_else(|| with_error(api, error))
        .or_else(|| empty(api))
}

/// Returns the response of an API that has an error at its top level.
fn with_error(api: ApiKey, error: ResponseError) -> Option<ResponseKind> {
    macro_rules! by_api {
        ($($key:ident => $response:ident,)*) => {
            match api {
                $(ApiKey::$key => Some($response::default().with_error_code(error.code()).into()),)*
                _ => None,
            }
        };
    }
    by_api! {
        AddOffsetsToTxn => AddOffsetsToTxnResponse,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatResponse,
        DescribeAcls => DescribeAclsResponse,
        DescribeClientQuotas => DescribeClientQuotasResponse,
        DescribeCluster => DescribeClusterResponse,
        DescribeLogDirs => DescribeLogDirsResponse,
        DescribeQuorum => DescribeQuorumResponse,
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
    }
}

/// Returns the empty response of an API that has no error at its top level.
fn empty(api: ApiKey) -> Option<ResponseKind> {
    macro_rules! by_api {
        ($($key:ident => $response:ident,)*) => {
            match api {
                $(ApiKey::$key => Some($response::default().into()),)*
                _ => None,
            }
        };
    }
    by_api! {
        AddPartitionsToTxn => AddPartitionsToTxnResponse,
        AlterConfigs => AlterConfigsResponse,
        ConsumerGroupDescribe => ConsumerGroupDescribeResponse,
        CreateAcls => CreateAclsResponse,
        CreatePartitions => CreatePartitionsResponse,
        CreateTopics => CreateTopicsResponse,
        DeleteAcls => DeleteAclsResponse,
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

/// Returns the response of the APIs whose clients look for the error in each partition, and of the one whose schema
/// changed.
fn for_each_item(
    api: ApiKey,
    version: i16,
    body: &Bytes,
    error: ResponseError,
) -> Option<ResponseKind> {
    match (api, version) {
        // It has an error at its top level since version 4.
        (ApiKey::AddPartitionsToTxn, 4..) => Some(
            AddPartitionsToTxnResponse::default()
                .with_error_code(error.code())
                .into(),
        ),
        (ApiKey::TxnOffsetCommit, _) => txn_offset_commit(version, body, error.code()),
        _ => None,
    }
}

fn txn_offset_commit(version: i16, body: &Bytes, code: i16) -> Option<ResponseKind> {
    let api = Api::find(ApiKey::TxnOffsetCommit)?;
    length_check::check(api, version, body).ok()?;
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
