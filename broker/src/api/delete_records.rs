//! `DeleteRecords`: moves the start of a log forward.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_request::DeleteRecordsPartition,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};

use super::storage_error;
use crate::{
    ids::{Offset, PartitionId},
    log::DeleteError,
    shared::Shared,
    topics::Topic,
};

/// The offset that means the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;
/// The low watermark of a partition with an error (`DeleteRecordsResponse.INVALID_LOW_WATERMARK`).
const NO_LOW_WATERMARK: i64 = -1;

/// Deletes records, and returns the new start offset of each log.
pub(crate) fn handle(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|requested| {
        let topic = shared.topics.get(&requested.name);
        let partitions = requested.partitions.iter().map(|partition| {
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
            .with_name(requested.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn delete(
    topic: Option<&Topic>,
    requested: &DeleteRecordsPartition,
) -> Result<Offset, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = topic.ok_or(unknown)?;
    let log = topic
        .partition(PartitionId(requested.partition_index))
        .ok_or(unknown)?;
    // A topic that is only compacted keeps the newest record of each key for ever. With an empty policy it may be cut.
    let settings = topic.settings.log();
    if settings.compact && !settings.delete {
        return Err(ResponseError::PolicyViolation);
    }
    let before = match requested.offset {
        HIGH_WATERMARK => None,
        offset @ 0.. => Some(Offset(offset)),
        _ => return Err(ResponseError::OffsetOutOfRange),
    };
    log.delete_records(before).map_err(|error| match &error {
        DeleteError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
        DeleteError::Deleted => unknown,
        DeleteError::Storage(_) => storage_error(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::batch::{self, tests::Sample},
        testing::broker,
        topics::{SettingOperation, SettingsChange, TopicSettings},
    };

    /// Creates a topic "t" of one partition with ten records.
    fn topic(shared: &Shared, policy: &str) {
        let settings = TopicSettings::default();
        let topic = shared.topics.create("t", Some(1), settings).unwrap();
        let bytes = batch::tests::sample(&Sample {
            count: 10,
            ..Sample::default()
        });
        let header = batch::verify(&bytes).unwrap();
        topic.partitions[0].append(&header, &bytes).unwrap();
        // Only now, because a compacted topic refuses records without a key.
        let operation = SettingOperation::Set(policy.to_owned());
        let change = SettingsChange::Each(vec![("cleanup.policy".to_owned(), operation)]);
        shared.topics.alter("t", &change).unwrap();
    }

    /// Returns the low watermark and the error code.
    fn delete(shared: &Shared, topic: &str, partition: i32, offset: i64) -> (i64, i16) {
        use kafka_protocol::messages::{TopicName, delete_records_request::DeleteRecordsTopic};
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(TopicName(crate::api::text(topic)))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let result = handle(shared, request)
            .topics
            .remove(0)
            .partitions
            .remove(0);
        (result.low_watermark, result.error_code)
    }

    #[tokio::test]
    async fn the_beginning_moves_ahead_and_never_back() {
        let (_dir, broker) = broker().await;
        let shared = &broker.shared;
        topic(shared, "delete");
        let (beyond, unknown) = (
            ResponseError::OffsetOutOfRange.code(),
            ResponseError::UnknownTopicOrPartition.code(),
        );
        assert_eq!(delete(shared, "t", 0, 3), (3, 0));
        assert_eq!(delete(shared, "t", 0, 2), (3, 0));
        assert_eq!(delete(shared, "t", 0, 11), (-1, beyond));
        assert_eq!(delete(shared, "t", 0, -2), (-1, beyond));
        assert_eq!(delete(shared, "t", 0, -1), (10, 0));
        assert_eq!(delete(shared, "t", 1, 0), (-1, unknown));
        assert_eq!(delete(shared, "none", 0, 0), (-1, unknown));
    }

    #[tokio::test]
    async fn a_topic_that_only_compacts_keeps_its_records() {
        let policy = ResponseError::PolicyViolation.code();
        for (policies, expected) in [
            ("compact", (-1, policy)),
            ("compact,delete", (3, 0)),
            ("", (3, 0)),
        ] {
            let (_dir, broker) = broker().await;
            topic(&broker.shared, policies);
            let result = delete(&broker.shared, "t", 0, 3);
            assert_eq!(result, expected, "{policies:?}");
        }
    }
}
