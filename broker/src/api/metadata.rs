//! `Metadata` and `DescribeCluster`: the one node, and the topics. A client that allows it has missing topics made.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse, TopicName,
};

use super::{NODE, text};
use crate::Shared;
use crate::record::batch::LEADER_EPOCH;
use crate::ids::TopicId;
use crate::topics::{Topic, check_name};

/// What anybody may do to a topic, as the bits of Kafka's `AclOperation`: all of it.
pub const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// What anybody may do to the cluster.
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// The topics asked for, or all of them.
pub fn handle(shared: &Shared, request: MetadataRequest, version: i16) -> MetadataResponse {
    // Before version 4 a request could not say.
    let create = version < 4 || request.allow_auto_topic_creation;
    let asked = match request.topics {
        // In version 0 an empty list means all.
        Some(topics) if !topics.is_empty() || version > 0 => Some(topics),
        _ => None,
    };
    let mut topics: Vec<_> = match asked {
        None => shared
            .topics
            .all()
            .iter()
            .map(|topic| found(topic))
            .collect(),
        Some(asked) => asked
            .into_iter()
            .map(|asked| look_up(shared, asked, create))
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

/// The one node.
pub fn describe_cluster(
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

fn look_up(shared: &Shared, asked: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let Some(name) = asked.name else {
        return match shared.topics.by_id(TopicId(asked.topic_id.as_u128())) {
            Some(topic) => found(&topic),
            None => MetadataResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(asked.topic_id),
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
