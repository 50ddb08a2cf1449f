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
use crate::Shared;
use crate::record::batch::LEADER_EPOCH;
use crate::topics::{Topic, TopicError, check_name};

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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;

    use super::*;
    use crate::protocol::tests::broker;
    use crate::topics::TopicSettings;

    type Place<'a> = (&'a str, i32);
    /// Name, partitions and code.
    type Told<'a> = (&'a str, Vec<i32>, i16);

    fn ask(
        shared: &Shared,
        names: &[&str],
        limit: i32,
        from: Option<Place>,
    ) -> DescribeTopicPartitionsResponse {
        let topic = |name: &&str| TopicRequest::default().with_name(TopicName(text(*name)));
        let cursor = from.map(|(name, partition)| {
            From::default()
                .with_topic_name(TopicName(text(name)))
                .with_partition_index(partition)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(names.iter().map(topic).collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor);
        handle(shared, request)
    }

    /// Each topic, and the cursor.
    fn told(response: &DescribeTopicPartitionsResponse) -> (Vec<Told<'_>>, Option<Place<'_>>) {
        let topics = response.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| p.partition_index).collect();
            (
                topic.name.as_ref().unwrap().as_str(),
                partitions,
                topic.error_code,
            )
        });
        let cursor = response.next_cursor.as_ref();
        let cursor = cursor.map(|next| (next.topic_name.as_str(), next.partition_index));
        (topics.collect(), cursor)
    }

    async fn with_topics() -> (tempfile::TempDir, crate::Broker) {
        let (dir, broker) = broker().await;
        for name in ["b", "a"] {
            let created = broker
                .shared
                .topics
                .create(name, Some(3), TopicSettings::default());
            created.unwrap();
        }
        (dir, broker)
    }

    #[tokio::test]
    async fn pieces_make_up_the_whole() {
        let (_dir, broker) = with_topics().await;
        let shared = &broker.shared;
        let next = ask(shared, &["b", "a"], 2, None);
        assert_eq!(told(&next), (vec![("a", vec![0, 1], 0)], Some(("a", 2))));
        let next = ask(shared, &["b", "a"], 2, Some(("a", 2)));
        let both = vec![("a", vec![2], 0), ("b", vec![0], 0)];
        assert_eq!(told(&next), (both, Some(("b", 1))));
        let next = ask(shared, &["b", "a"], 2, Some(("b", 1)));
        assert_eq!(told(&next), (vec![("b", vec![1, 2], 0)], None));
        // Full at the end of a topic.
        let next = ask(shared, &[], 3, None);
        assert_eq!(told(&next), (vec![("a", vec![0, 1, 2], 0)], Some(("b", 0))));
        // Less than nothing is one.
        let next = ask(shared, &[], -1, None);
        assert_eq!(told(&next), (vec![("a", vec![0], 0)], Some(("a", 1))));
    }

    #[tokio::test]
    async fn a_topic_that_is_not_there_has_its_error_and_takes_no_room() {
        let (_dir, broker) = with_topics().await;
        let shared = &broker.shared;
        let response = ask(shared, &["b", "a?", "aa"], 3, None);
        let (invalid, unknown) = (
            ResponseError::InvalidTopicException.code(),
            ResponseError::UnknownTopicOrPartition.code(),
        );
        let all = vec![
            ("a?", vec![], invalid),
            ("aa", vec![], unknown),
            ("b", vec![0, 1, 2], 0),
        ];
        assert_eq!(told(&response), (all, None));
    }

    #[tokio::test]
    async fn a_cursor_must_point_at_something_asked_for() {
        let (_dir, broker) = with_topics().await;
        let shared = &broker.shared;
        let invalid = ResponseError::InvalidRequest.code();
        for from in [("a", -1), ("aa", 0)] {
            let response = ask(shared, &["b", "a"], 2, Some(from));
            let all = vec![("b", vec![], invalid), ("a", vec![], invalid)];
            assert_eq!(told(&response), (all, None), "{from:?}");
        }
        // Of all topics, one that was deleted meanwhile is passed over, and a partition too high too.
        let response = ask(shared, &[], 2, Some(("aa", 1)));
        assert_eq!(
            told(&response),
            (vec![("b", vec![0, 1], 0)], Some(("b", 2)))
        );
        let response = ask(shared, &["a"], 2, Some(("a", i32::MAX)));
        assert_eq!(told(&response), (vec![("a", vec![], 0)], None));
    }
}
