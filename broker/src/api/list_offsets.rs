//! `ListOffsets` and `OffsetForLeaderEpoch`: where a log begins and ends, and where a time is in it.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, TopicName,
};

use super::{check_leader_epoch, isolation, storage_error};
use crate::Shared;
use crate::record::batch::LEADER_EPOCH;
use crate::ids::{Offset, PartitionId};
use crate::log::Isolation;

/// Timestamps with a meaning of their own (Kafka's `ListOffsetsRequest`).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset that is on this machine, which all are (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The last offset that is in tiered storage, which none is (KIP-1005).
const LATEST_TIERED: i64 = -5;
/// The first versions that have them.
const FIRST_VERSION_OF_LOCAL: i16 = 8;
const FIRST_VERSION_OF_TIERED: i16 = 9;
/// Answers have no leader epoch before this version.
const FIRST_VERSION_WITH_EPOCH: i16 = 4;

/// Timestamp (-1 where it has no meaning) and offset; `None` if no record qualifies.
type Found = Option<(i64, Offset)>;

/// An offset for each partition.
pub fn handle(shared: &Shared, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
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
    // Nobody is sent where they could not read.
    let readable = |found: Found| found.filter(|(_, offset)| *offset < end);
    found.map(readable).map_err(|error| storage_error(&error))
}

/// Where the records of a leader epoch end. There is one epoch only, so it is the end of the log.
pub fn for_leader_epoch(
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
                // An epoch that never was has no end.
                (Some(_), Ok(())) => response,
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
