//! `ListOffsets` and `OffsetForLeaderEpoch`: the start and the end of a log, and the offset of a timestamp.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
        OffsetForLeaderEpochResponse, TopicName,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};

use super::{check_leader_epoch, isolation, storage_error};
use crate::{
    ids::{Offset, PartitionId},
    log::Isolation,
    record::batch::LEADER_EPOCH,
    shared::Shared,
};

/// Timestamps with a special meaning (Kafka's `ListOffsetsRequest`).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset that is stored locally, which all are (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The last offset in tiered storage, where none is (KIP-1005).
const LATEST_TIERED: i64 = -5;
/// The first version with `EARLIEST_LOCAL`.
const FIRST_VERSION_OF_LOCAL: i16 = 8;
/// The first version with `LATEST_TIERED`.
const FIRST_VERSION_OF_TIERED: i16 = 9;
/// The first version whose responses have a leader epoch.
const FIRST_VERSION_WITH_EPOCH: i16 = 4;

/// A timestamp (-1 if it has no meaning) and an offset; `None` if no record matches.
type Found = Option<(i64, Offset)>;

/// Returns the offset of a timestamp for each partition.
pub(crate) fn handle(
    shared: &Shared,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let epoch = if version < FIRST_VERSION_WITH_EPOCH {
        -1
    } else {
        LEADER_EPOCH
    };
    let isolation = isolation(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let response = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1)
                .with_offset(-1)
                .with_leader_epoch(-1);
            match find(shared, &topic.name, partition, isolation, version) {
                Ok(Some((timestamp, offset))) => response
                    .with_timestamp(timestamp)
                    .with_offset(offset.0)
                    .with_leader_epoch(epoch),
                Ok(None) => response,
                Err(error) => response.with_error_code(error.code()),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn find(
    shared: &Shared,
    topic: &TopicName,
    request: &ListOffsetsPartition,
    isolation: Isolation,
    version: i16,
) -> Result<Found, ResponseError> {
    let partition = PartitionId(request.partition_index);
    let log = shared
        .topics
        .partition(topic, partition)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_leader_epoch(request.current_leader_epoch)?;
    let end = log.bounds().end_for(isolation);
    let found = match request.timestamp {
        LATEST => return Ok(Some((-1, end))),
        EARLIEST => return Ok(Some((-1, log.bounds().start))),
        EARLIEST_LOCAL if version >= FIRST_VERSION_OF_LOCAL => {
            return Ok(Some((-1, log.bounds().start)));
        }
        LATEST_TIERED if version >= FIRST_VERSION_OF_TIERED => return Ok(None),
        MAX_TIMESTAMP => log.find_newest(),
        timestamp @ 0.. => log.find_by_time(timestamp),
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    // A consumer may not be sent to a record that it could not read.
    let readable = |found: Found| found.filter(|(_, offset)| *offset < end);
    found.map(readable).map_err(|error| storage_error(&error))
}

/// Returns the offset at which a leader epoch ends. There is only one epoch, so it is the end of the log.
pub(crate) fn for_leader_epoch(
    shared: &Shared,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let log = shared
                .topics
                .partition(&topic.topic, PartitionId(partition.partition));
            let response = EpochEndOffset::default()
                .with_partition(partition.partition)
                .with_leader_epoch(-1)
                .with_end_offset(-1);
            let epoch = check_leader_epoch(partition.current_leader_epoch);
            match (log, epoch) {
                (None, _) => {
                    response.with_error_code(ResponseError::UnknownTopicOrPartition.code())
                }
                (_, Err(error)) => response.with_error_code(error.code()),
                (Some(log), Ok(())) if partition.leader_epoch == LEADER_EPOCH => response
                    .with_leader_epoch(LEADER_EPOCH)
                    .with_end_offset(log.bounds().end.0),
                // Another epoch never existed and has no end.
                (Some(_), Ok(())) => response,
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
