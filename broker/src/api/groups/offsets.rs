//! `OffsetCommit` and `OffsetFetch`.

use std::collections::BTreeMap;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
        OffsetFetchResponse, TopicName,
        offset_commit_request::OffsetCommitRequestPartition,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
        offset_fetch_request::OffsetFetchRequestTopics,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};

use crate::{
    api::text,
    clock::now_ms,
    coordinator::offsets::{CommittedOffset, TopicPartition},
    ids::{Offset, PartitionId},
    shared::Shared,
};

/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4096;
/// The first version in which a request names several groups.
const FIRST_VERSION_OF_MANY_GROUPS: i16 = 8;

/// Commits all valid offsets with one write; each partition succeeds or fails by itself.
pub(crate) fn commit(shared: &Shared, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let allowed = shared.groups.check_commit(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        request.generation_id_or_member_epoch,
    );
    let is_known = || shared.offsets.has_group(&request.group_id);
    let has_members = || shared.groups.has_members(&request.group_id);
    let refused = allowed
        .err()
        .map(|error| match ResponseError::from(&error) {
            // A group that only has committed offsets has no members, so this one is unknown.
            ResponseError::IllegalGeneration if is_known() && !has_members() => {
                ResponseError::UnknownMemberId
            }
            other => other,
        });
    let mut commits = Vec::new();
    let mut topics: Vec<_> = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let index = partition.partition_index;
                let error = refused.or_else(|| match checked(shared, &topic.name, partition) {
                    Ok(commit) => {
                        commits.push(commit);
                        None
                    }
                    Err(error) => Some(error),
                });
                OffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error.map_or(0, |error| error.code()))
            });
            OffsetCommitResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name.clone())
        })
        .collect();
    let exists =
        |(topic, partition): &TopicPartition| shared.topics.partition(topic, *partition).is_some();
    if let Err(error) = shared.offsets.commit(&request.group_id, commits, exists) {
        let code = ResponseError::from(&error).code();
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.error_code == 0) {
            partition.error_code = code;
        }
    }
    OffsetCommitResponse::default().with_topics(topics)
}

/// Checks a commit, and returns the offset to store.
pub(crate) fn checked(
    shared: &Shared,
    topic: &TopicName,
    request: OffsetCommitRequestPartition,
) -> Result<(TopicPartition, CommittedOffset), ResponseError> {
    let partition = PartitionId(request.partition_index);
    if shared.topics.partition(topic, partition).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let metadata = request
        .committed_metadata
        .as_deref()
        .unwrap_or_default()
        .to_owned();
    if metadata.len() > MAX_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let committed = CommittedOffset {
        offset: Offset(request.committed_offset),
        leader_epoch: request.committed_leader_epoch,
        metadata,
        time: now_ms(),
    };
    Ok(((topic.to_string(), partition), committed))
}

/// Returns committed offsets, -1 where there is none; those of all topics of the group if the request names none.
pub(crate) fn fetch(
    shared: &Shared,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    let require_stable = request.require_stable;
    if version >= FIRST_VERSION_OF_MANY_GROUPS {
        let groups = request.groups.into_iter().map(|group| {
            let topics = group_topics(shared, &group.group_id, group.topics, require_stable);
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_topics(topics)
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let requested = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        topics.collect()
    });
    let topics = group_topics(shared, &request.group_id, requested, require_stable);
    OffsetFetchResponse::default().with_topics(topics.into_iter().map(before_version_8).collect())
}

fn group_topics(
    shared: &Shared,
    group: &GroupId,
    requested: Option<Vec<OffsetFetchRequestTopics>>,
    require_stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let Some(requested) = requested else {
        return all_topics(shared, group, require_stable);
    };
    let topics = requested.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let key = (topic.name.to_string(), PartitionId(*index));
            find(shared, group, &key, require_stable)
        });
        OffsetFetchResponseTopics::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    topics.collect()
}

fn all_topics(
    shared: &Shared,
    group: &GroupId,
    require_stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: BTreeMap<String, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
    for key in shared.offsets.all(group).into_keys() {
        let found = find(shared, group, &key, require_stable);
        topics.entry(key.0).or_default().push(found);
    }
    let topic = |(name, partitions)| {
        OffsetFetchResponseTopics::default()
            .with_name(TopicName(text(name)))
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

/// Returns the committed offset of a partition. With `require_stable` it is an error if an open transaction is about to
/// change it (KIP-447).
fn find(
    shared: &Shared,
    group: &GroupId,
    partition: &TopicPartition,
    require_stable: bool,
) -> OffsetFetchResponsePartitions {
    if require_stable && shared.transactions.is_unstable(group, partition) {
        let error = ResponseError::UnstableOffsetCommit.code();
        return found(partition.1.0, None).with_error_code(error);
    }
    found(partition.1.0, shared.offsets.get(group, partition))
}

fn found(index: i32, committed: Option<CommittedOffset>) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default().with_partition_index(index);
    match committed {
        Some(committed) => response
            .with_committed_offset(committed.offset.0)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(committed.metadata))),
        None => response
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default())),
    }
}

/// Converts the topic into the type of the older versions.
fn before_version_8(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code)
    });
    OffsetFetchResponseTopic::default()
        .with_name(topic.name)
        .with_partitions(partitions.collect())
}
