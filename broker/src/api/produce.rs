//! `Produce`: one batch a partition, checked, and stored as it came.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::{storage_error, transactions};
use crate::Shared;
use crate::record::batch::{self, Header, Invalid};
use crate::ids::PartitionId;
use crate::log::{self, AppendError, Appended, Outside, Partition};
use crate::topics::Topic;

const ALL_ACKS: i16 = -1;
const NO_ACKS: i16 = 0;
const LAST_CODEC: i16 = 4;
const ZSTD: i16 = 4;
const FIRST_VERSION_OF_ZSTD: i16 = 7;

/// A refusal with its reason, which clients since version 8 show.
type Refusal = (ResponseError, String);

/// A refused batch.
struct Refused {
    error: ResponseError,
    reason: String,
    /// The records that are at fault, counted from 0, where single ones are.
    records: Vec<i32>,
}

impl From<Refusal> for Refused {
    fn from((error, reason): Refusal) -> Refused {
        Refused {
            error,
            reason,
            records: Vec::new(),
        }
    }
}

/// Appends every batch. With acks=0 nobody waits for the answer, so there is none.
///
/// acks=1 and acks=all are the same on a single node: answered once the operating system has the batch.
pub fn handle(shared: &Shared, request: ProduceRequest, version: i16) -> Option<ProduceResponse> {
    let acks = request.acks;
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let why_outside = |batch: &Header| transactions::why_outside(shared, id, batch, version);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let found = shared.topics.get(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let log = log_for(found.as_deref(), PartitionId(index), acks);
            let log = log.map_err(Refused::from);
            let result = log.and_then(|log| store(log, data, version, why_outside));
            if let Err(Refused { error, reason, .. }) = &result {
                tracing::debug!(topic = topic.name.as_str(), partition = index, %error, reason, "batch refused");
            }
            partitions.push(respond(index, result));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_partition_responses(partitions),
        );
    }
    (acks != NO_ACKS).then(|| ProduceResponse::default().with_responses(responses))
}

/// The log of a partition, if it can give what `acks` asks for.
fn log_for(topic: Option<&Topic>, id: PartitionId, acks: i16) -> Result<&Partition, Refusal> {
    if !(ALL_ACKS..=1).contains(&acks) {
        let reason = format!("acks={acks}: choose 0, 1 or -1");
        return Err((ResponseError::InvalidRequiredAcks, reason));
    }
    let found = topic.and_then(|topic| Some((topic, topic.partition(id)?)));
    let (topic, log) = found.ok_or_else(|| {
        let reason = "there is no such partition".to_owned();
        (ResponseError::UnknownTopicOrPartition, reason)
    })?;
    let wanted = topic.settings.min_insync_replicas();
    if acks == ALL_ACKS && wanted > 1 {
        let reason = format!("min.insync.replicas={wanted}: there is one node");
        return Err((ResponseError::NotEnoughReplicas, reason));
    }
    Ok(log)
}

fn store(
    partition: &Partition,
    data: PartitionProduceData,
    version: i16,
    why_outside: impl Fn(&Header) -> ResponseError,
) -> Result<Appended, Refused> {
    let batch = data.records.unwrap_or_default();
    let header = check(&batch, version)?;
    partition.append(&header, &batch).map_err(|error| {
        let code = match &error {
            AppendError::Refused(
                log::Refusal::StaleEpoch { .. } | log::Refusal::Outside(Outside::StaleEpoch { .. }),
            ) => ResponseError::InvalidProducerEpoch,
            AppendError::Refused(log::Refusal::OutOfOrder { .. }) => {
                ResponseError::OutOfOrderSequenceNumber
            }
            AppendError::Refused(log::Refusal::Outside(Outside::NotOpen)) => why_outside(&header),
            AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
            AppendError::Timestamp { .. } => ResponseError::InvalidTimestamp,
            AppendError::NoKey { .. } => ResponseError::InvalidRecord,
            AppendError::Unreadable(_) => ResponseError::CorruptMessage,
            AppendError::Deleted => ResponseError::UnknownTopicOrPartition,
            AppendError::Storage(_) => storage_error(&error),
        };
        let reason = error.to_string();
        let records = match error {
            AppendError::NoKey { records } => records,
            _ => Vec::new(),
        };
        Refused {
            error: code,
            reason,
            records,
        }
    })
}

/// What Kafka checks (`ProduceRequest.validateRecords`, `LogValidator`), short of opening the batch.
fn check(batch: &Bytes, version: i16) -> Result<Header, Refusal> {
    let header = batch::verify(batch).map_err(|invalid| match &invalid {
        Invalid::Magic(0 | 1) | Invalid::Count { .. } => {
            (ResponseError::InvalidRecord, invalid.to_string())
        }
        // More bytes than the batch says: a second batch. Fewer: none at all.
        Invalid::Truncated { .. } => {
            let reason = format!("one whole batch for a partition, not {invalid}");
            (ResponseError::InvalidRecord, reason)
        }
        _ => (ResponseError::CorruptMessage, invalid.to_string()),
    })?;
    let refuse = |error, reason: &str| Err((error, reason.to_owned()));
    if header.count == 0 || header.last_offset_delta != header.count - 1 {
        return refuse(
            ResponseError::InvalidRecord,
            "the record count does not fit the offsets",
        );
    }
    if header.is_control() {
        return refuse(
            ResponseError::InvalidRecord,
            "control batches come from coordinators only",
        );
    }
    if header.is_transactional() && header.producer_id.is_none() {
        return refuse(
            ResponseError::InvalidRecord,
            "a transactional batch needs a producer id",
        );
    }
    if header.is_log_append_time() {
        return refuse(
            ResponseError::InvalidTimestamp,
            "a producer cannot set LogAppendTime",
        );
    }
    if header.codec() > LAST_CODEC || header.codec() == ZSTD && version < FIRST_VERSION_OF_ZSTD {
        return refuse(
            ResponseError::UnsupportedCompressionType,
            "the codec is not one of this version",
        );
    }
    if header.producer_id.is_some() && header.base_sequence < 0 {
        return refuse(
            ResponseError::InvalidRecord,
            "an idempotent batch needs a sequence",
        );
    }
    Ok(header)
}

fn respond(index: i32, result: Result<Appended, Refused>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_log_append_time_ms(-1);
    match result {
        Ok(stored) => response
            .with_base_offset(stored.base_offset.0)
            .with_log_start_offset(stored.log_start.0)
            .with_log_append_time_ms(stored.append_time.unwrap_or(-1)),
        Err(Refused {
            error,
            reason,
            records,
        }) => {
            let at_fault = records.into_iter().map(|index| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(super::reason(reason.clone()))
            });
            response
                .with_record_errors(at_fault.collect())
                .with_error_code(error.code())
                .with_error_message(super::reason(reason.clone()))
                .with_base_offset(-1)
                .with_log_start_offset(-1)
        }
    }
}
