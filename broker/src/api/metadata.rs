//! `Metadata` and `DescribeCluster`: the only node, and the topics. Creates missing topics if the client allows it.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse,
        TopicName,
        describe_cluster_response::DescribeClusterBroker,
        metadata_request::MetadataRequestTopic,
        metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        },
    },
};

use super::{NODE, text};
use crate::{
    ids::TopicId,
    record::batch::LEADER_EPOCH,
    shared::Shared,
    topics::{Topic, check_name},
};

/// The operations on a topic that every client may do, as bits of Kafka's `AclOperation`: all of them.
pub(crate) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The operations on the cluster that every client may do.
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// Returns the requested topics, or all of them.
pub(crate) fn handle(shared: &Shared, request: MetadataRequest, version: i16) -> MetadataResponse {
    // Before version 4, a request could not forbid it.
    let create = version < 4 || request.allow_auto_topic_creation;
    let requested = match request.topics {
        // In version 0, an empty list means all topics.
        Some(topics) if !topics.is_empty() || version > 0 => Some(topics),
        _ => None,
    };
    let mut topics: Vec<_> = match requested {
        None => shared
            .topics
            .all()
            .iter()
            .map(|topic| found(topic))
            .collect(),
        Some(requested) => requested
            .into_iter()
            .map(|requested| look_up(shared, requested, create))
            .collect(),
    };
    if request.include_topic_authorized_operations {
        for topic in &mut topics {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let mut response = MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default()
                .with_node_id(NODE)
                .with_host(text(shared.address.ip().to_string()))
                .with_port(i32::from(shared.address.port())),
        ])
        .with_cluster_id(Some(text(&shared.cluster_id)))
        .with_controller_id(NODE)
        .with_topics(topics);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

/// Describes the only node.
pub(crate) fn describe_cluster(
    shared: &Shared,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let mut response = DescribeClusterResponse::default()
        .with_endpoint_type(request.endpoint_type)
        .with_cluster_id(text(&shared.cluster_id))
        .with_controller_id(NODE)
        .with_brokers(vec![
            DescribeClusterBroker::default()
                .with_broker_id(NODE)
                .with_host(text(shared.address.ip().to_string()))
                .with_port(i32::from(shared.address.port())),
        ]);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn look_up(
    shared: &Shared,
    requested: MetadataRequestTopic,
    create: bool,
) -> MetadataResponseTopic {
    let id = TopicId(requested.topic_id.as_u128());
    // The Java client sends an empty name with an id, so a name counts only without one.
    let name = requested.name.filter(|_| id == TopicId::NONE);
    let Some(name) = name else {
        return match shared.topics.by_id(id) {
            Some(topic) => found(&topic),
            None => MetadataResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(requested.topic_id),
        };
    };
    let topic = match shared.topics.get(&name) {
        Some(topic) => Ok(topic),
        None if create => shared.topics.get_or_create(&name).map_err(|error| {
            tracing::info!(topic = %name.as_str(), %error, "cannot create a topic on demand");
            ResponseError::from(&error)
        }),
        None => Err(match check_name(&name) {
            Ok(()) => ResponseError::UnknownTopicOrPartition,
            Err(error) => ResponseError::from(&error),
        }),
    };
    match topic {
        Ok(topic) => found(&topic),
        Err(error) => MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(name)),
    }
}

fn found(topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    let response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_partitions((0..topic.partitions.len() as i32).map(partition).collect());
    match topic.id.to_string().parse() {
        Ok(id) => response.with_topic_id(id),
        Err(_) => response,
    }
}
