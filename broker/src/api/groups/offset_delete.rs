//! `OffsetDelete` (KIP-496): deletes committed offsets of partitions that the group no longer consumes.

use std::collections::HashSet;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
};

use crate::{
    coordinator::group::{GroupDescription, GroupState},
    ids::PartitionId,
    shared::Shared,
};

/// The protocol type of groups whose subscriptions can be decoded.
const CONSUMER: &str = "consumer";

/// Deletes offsets; each partition succeeds or fails by itself. Topics that a member subscribes to are refused.
pub(crate) fn handle(shared: &Shared, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let refuse =
        |error: ResponseError| OffsetDeleteResponse::default().with_error_code(error.code());
    let group = shared.groups.describe(&request.group_id);
    if group.is_none() && !shared.offsets.has_group(&request.group_id) {
        return refuse(ResponseError::GroupIdNotFound);
    }
    let group = group.filter(|group| group.state != GroupState::Empty);
    if group
        .as_ref()
        .is_some_and(|group| group.protocol_type != CONSUMER)
    {
        return refuse(ResponseError::NonEmptyGroup);
    }
    let subscribed = group.map(|group| subscriptions(&group)).unwrap_or_default();
    let mut deleted = Vec::new();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let partition = PartitionId(partition.partition_index);
            let error = if subscribed.contains(topic.name.as_str()) {
                ResponseError::GroupSubscribedToTopic.code()
            } else if shared.topics.partition(&topic.name, partition).is_none() {
                ResponseError::UnknownTopicOrPartition.code()
            } else {
                deleted.push((topic.name.to_string(), partition));
                0
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.0)
                .with_error_code(error)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    match shared.offsets.remove(&request.group_id, deleted) {
        Ok(()) => {
            if !shared.offsets.has_group(&request.group_id) {
                shared.groups.remove_empty(&request.group_id);
            }
            OffsetDeleteResponse::default().with_topics(topics)
        }
        Err(error) => refuse(ResponseError::from(&error)),
    }
}

fn subscriptions(group: &GroupDescription) -> HashSet<String> {
    let members = group.members.iter();
    members
        .flat_map(|member| topics_of(&member.metadata).unwrap_or_default())
        .collect()
}

/// Decodes the topics of a `ConsumerProtocolSubscription`, which begins with a version i16 and an array of strings.
fn topics_of(mut metadata: &[u8]) -> Option<Vec<String>> {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (head, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(head)
    }
    take(&mut metadata, 2)?;
    let count = i32::from_be_bytes(take(&mut metadata, 4)?.try_into().ok()?);
    let topic = |_| {
        let length = i16::from_be_bytes(take(&mut metadata, 2)?.try_into().ok()?);
        let text = take(&mut metadata, usize::try_from(length).ok()?)?;
        String::from_utf8(text.to_vec()).ok()
    };
    (0..count).map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_subscription_are_read_and_garbage_is_not() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        let expected = Some(vec!["a".to_owned(), "bc".to_owned()]);
        assert_eq!(topics_of(bytes), expected);
        for cut in 0..13 {
            assert_eq!(topics_of(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(topics_of(b"\0\x01\x7f\xff\xff\xff"), None);
    }
}
