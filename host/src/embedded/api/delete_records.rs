//! `DeleteRecords`: moves the beginning of a log ahead.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::storage_error;
use crate::embedded::Shared;
use crate::embedded::ids::{Offset, PartitionId};
use crate::embedded::log::DeleteError;
use crate::embedded::topics::Topic;

/// The offset that stands for the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;
/// What an answer has in place of a low watermark (`DeleteRecordsResponse.INVALID_LOW_WATERMARK`).
const NO_LOW_WATERMARK: i64 = -1;

/// Where each log begins after it.
pub fn handle(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = shared.topics.get(&asked.name);
        let partitions = asked.partitions.iter().map(|partition| {
            let result = DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index);
            match delete(topic.as_deref(), partition) {
                Ok(start) => result.with_low_watermark(start.0),
                Err(error) => result
                    .with_low_watermark(NO_LOW_WATERMARK)
                    .with_error_code(error.code()),
            }
        });
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(asked.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn delete(topic: Option<&Topic>, asked: &DeleteRecordsPartition) -> Result<Offset, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = topic.ok_or(unknown)?;
    let log = topic
        .partition(PartitionId(asked.partition_index))
        .ok_or(unknown)?;
    // Whoever only compacts wants the newest record of each key for ever. A topic with no policy at all may be cut.
    let settings = topic.settings.log();
    if settings.compact && !settings.delete {
        return Err(ResponseError::PolicyViolation);
    }
    let before = match asked.offset {
        HIGH_WATERMARK => None,
        offset @ 0.. => Some(Offset(offset)),
        _ => return Err(ResponseError::OffsetOutOfRange),
    };
    log.delete_records(before).map_err(|error| match &error {
        DeleteError::OutOfRange => ResponseError::OffsetOutOfRange,
        DeleteError::Deleted => unknown,
        DeleteError::Storage(_) => storage_error(&error),
    })
}
