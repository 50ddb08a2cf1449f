//! `DescribeTopicPartitions` (KIP-966): what `Metadata` says of topics, in pieces of a limited size.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor as From;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use super::metadata::TOPIC_OPERATIONS;
use super::{NODE, text};
use crate::embedded::Shared;
use crate::embedded::batch::LEADER_EPOCH;
use crate::embedded::topics::{Topic, TopicError, check_name};

/// The most partitions in one answer (Kafka's `max.request.partition.size.limit`).
const MAX_PARTITIONS: usize = 2_000;

/// The topics asked for, or all of them, in the order of their names, from the cursor on.
pub fn handle(
    shared: &Shared,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let from = request.cursor.as_ref();
    let asked = request.topics.iter().map(|topic| topic.name.to_string());
    let mut names: BTreeSet<String> = asked.collect();
    let all = names.is_empty();
    if all {
        names = shared
            .topics
            .all()
            .iter()
            .map(|topic| topic.name.clone())
            .collect();
    }
    if let Some(from) = from {
        // Only a topic that was asked for can be gone on with; of all topics, it may be deleted meanwhile.
        let known = all || names.contains(from.topic_name.as_str());
        if from.partition_index < 0 || !known {
            return refused(request);
        }
        names.retain(|name| name.as_str() >= from.topic_name.as_str());
    }
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    piece(shared, names, from, limit.clamp(1, MAX_PARTITIONS))
}

fn piece(
    shared: &Shared,
    names: BTreeSet<String>,
    from: Option<&From>,
    limit: usize,
) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    let mut left = limit;
    for name in names {
        if left == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = shared.topics.get(&name) else {
            let error = check_name(&name)
                .err()
                .unwrap_or(TopicError::Unknown(name.clone()));
            response
                .topics
                .push(failed(name, ResponseError::from(&error)));
            continue;
        };
        let begin = match from {
            Some(from) if from.topic_name.as_str() == name => from.partition_index as usize,
            _ => 0,
        };
        let count = topic.partitions.len();
        let end = count.min(begin.saturating_add(left));
        response.topics.push(described(&topic, begin..end));
        if end < count {
            response.next_cursor = Some(cursor(name, end as i32));
            break;
        }
        left -= end.saturating_sub(begin);
    }
    response
}

fn described(
    topic: &Topic,
    partitions: std::ops::Range<usize>,
) -> DescribeTopicPartitionsResponseTopic {
    let partition = |index| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    };
    let response = DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_partitions(partitions.map(partition).collect())
        .with_topic_authorized_operations(TOPIC_OPERATIONS);
    match topic.id.to_string().parse() {
        Ok(id) => response.with_topic_id(id),
        Err(_) => response,
    }
}

fn failed(name: String, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_error_code(error.code())
}

/// A cursor that points nowhere: the response has no place for an error but with each topic.
fn refused(request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let names = request
        .topics
        .into_iter()
        .map(|topic| topic.name.to_string());
    let topics = names.map(|name| failed(name, ResponseError::InvalidRequest));
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

fn cursor(name: String, partition: i32) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(text(name)))
        .with_partition_index(partition)
}
