//! `DescribeTopicPartitions` (KIP-966): the topics of `Metadata`, in pages of a limited size.

use std::collections::BTreeSet;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
        describe_topic_partitions_request::Cursor as RequestCursor,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
};

use super::{NODE, metadata::TOPIC_OPERATIONS, text};
use crate::{
    record::batch::LEADER_EPOCH,
    shared::Shared,
    topics::{Topic, TopicError, check_name},
};

/// The largest number of partitions in a response (Kafka's `max.request.partition.size.limit`).
const MAX_PARTITIONS: usize = 2_000;

/// Returns the requested topics, or all of them, ordered by name and starting at the cursor.
pub(crate) fn handle(
    shared: &Shared,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let from = request.cursor.as_ref();
    let requested = request.topics.iter().map(|topic| topic.name.to_string());
    let mut names: BTreeSet<String> = requested.collect();
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
        // The cursor must name a requested topic. If all are requested, its topic may have been deleted meanwhile.
        let known = all || names.contains(from.topic_name.as_str());
        if from.partition_index < 0 || !known {
            return invalid_cursor(request);
        }
        names.retain(|name| name.as_str() >= from.topic_name.as_str());
    }
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    page(shared, names, from, limit.clamp(1, MAX_PARTITIONS))
}

fn page(
    shared: &Shared,
    names: BTreeSet<String>,
    from: Option<&RequestCursor>,
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

/// Returns the error of an invalid cursor for each topic, because the response has no other place for an error.
fn invalid_cursor(request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
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
    use crate::{
        testing::{UnservedBroker, broker},
        topics::TopicSettings,
    };

    /// Topic and partition of a cursor.
    type Place<'a> = (&'a str, i32);
    /// Name, partitions and error code of a topic.
    type Described<'a> = (&'a str, Vec<i32>, i16);

    fn ask(
        shared: &Shared,
        names: &[&str],
        limit: i32,
        from: Option<Place>,
    ) -> DescribeTopicPartitionsResponse {
        let topic = |name: &&str| TopicRequest::default().with_name(TopicName(text(*name)));
        let cursor = from.map(|(name, partition)| {
            RequestCursor::default()
                .with_topic_name(TopicName(text(name)))
                .with_partition_index(partition)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(names.iter().map(topic).collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor);
        handle(shared, request)
    }

    /// Returns the topics and the cursor of a response.
    fn summary(
        response: &DescribeTopicPartitionsResponse,
    ) -> (Vec<Described<'_>>, Option<Place<'_>>) {
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

    async fn with_topics() -> (tempfile::TempDir, UnservedBroker) {
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
        assert_eq!(summary(&next), (vec![("a", vec![0, 1], 0)], Some(("a", 2))));
        let next = ask(shared, &["b", "a"], 2, Some(("a", 2)));
        let both = vec![("a", vec![2], 0), ("b", vec![0], 0)];
        assert_eq!(summary(&next), (both, Some(("b", 1))));
        let next = ask(shared, &["b", "a"], 2, Some(("b", 1)));
        assert_eq!(summary(&next), (vec![("b", vec![1, 2], 0)], None));
        // The page ends with a topic.
        let next = ask(shared, &[], 3, None);
        assert_eq!(
            summary(&next),
            (vec![("a", vec![0, 1, 2], 0)], Some(("b", 0)))
        );
        // A limit below 1 counts as 1.
        let next = ask(shared, &[], -1, None);
        assert_eq!(summary(&next), (vec![("a", vec![0], 0)], Some(("a", 1))));
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
        assert_eq!(summary(&response), (all, None));
    }

    #[tokio::test]
    async fn a_cursor_must_point_at_something_asked_for() {
        let (_dir, broker) = with_topics().await;
        let shared = &broker.shared;
        let invalid = ResponseError::InvalidRequest.code();
        for from in [("a", -1), ("aa", 0)] {
            let response = ask(shared, &["b", "a"], 2, Some(from));
            let all = vec![("b", vec![], invalid), ("a", vec![], invalid)];
            assert_eq!(summary(&response), (all, None), "{from:?}");
        }
        // A cursor in a topic that was deleted meanwhile, and one beyond the last partition, skip to what follows.
        let response = ask(shared, &[], 2, Some(("aa", 1)));
        assert_eq!(
            summary(&response),
            (vec![("b", vec![0, 1], 0)], Some(("b", 2)))
        );
        let response = ask(shared, &["a"], 2, Some(("a", i32::MAX)));
        assert_eq!(summary(&response), (vec![("a", vec![], 0)], None));
    }
}
