//! `Produce`: checks one batch per partition with all of its records, and stores it. Only its greatest timestamp changes, if
//! it is not that of the records.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ProduceRequest, ProduceResponse,
        produce_request::PartitionProduceData,
        produce_response::{
            BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
        },
    },
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task,
};

use super::{Refusal, storage_error, transactions};
use crate::{
    ids::{Offset, PartitionId},
    log::{self, AppendError, AppendInfo, PartitionLog, RecordFault, TransactionMismatch},
    record::{
        batch::{self, InvalidBatch, RecordBatchHeader},
        compression,
        record_reader::UnreadableRecords,
    },
    shared::Shared,
    topics::Topic,
};

const ALL_ACKS: i16 = -1;
const NO_ACKS: i16 = 0;
const LAST_CODEC: i16 = 4;
const ZSTD: i16 = 4;
const FIRST_VERSION_OF_ZSTD: i16 = 7;
/// A compressed batch of more bytes than this may take long to decompress: a thousand times as many bytes are possible.
const SLOW_BYTES: usize = 16 << 10;

/// The reason why a batch is refused. Clients show it since version 8.
struct RefusedBatch {
    error: ResponseError,
    reason: String,
    /// The records at fault with their indexes, if the error is about single records.
    records: Vec<(i32, RecordFault)>,
}

impl From<Refusal> for RefusedBatch {
    fn from((error, reason): Refusal) -> RefusedBatch {
        RefusedBatch {
            error,
            reason,
            records: Vec::new(),
        }
    }
}

/// Appends every batch. Returns no response to acks=0, because no client waits for it.
///
/// acks=1 and acks=all are the same on a single node: both are acknowledged once the operating system has the batch.
pub(crate) fn handle(
    shared: &Shared,
    request: ProduceRequest,
    version: i16,
) -> Option<ProduceResponse> {
    let acks = request.acks;
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let transaction_error =
        |batch: &RecordBatchHeader| transactions::transaction_error(shared, id, batch, version);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let found = shared.topics.get(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let log = log_for(found.as_deref(), PartitionId(index), acks);
            let log = log.map_err(RefusedBatch::from);
            let result = log.and_then(|log| store(log, data, version, transaction_error));
            if let Err(RefusedBatch { error, reason, .. }) = &result {
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

/// Returns the log of a partition if it can give the guarantee that `acks` asks for.
fn log_for(topic: Option<&Topic>, id: PartitionId, acks: i16) -> Result<&PartitionLog, Refusal> {
    if !(ALL_ACKS..=1).contains(&acks) {
        let reason = format!("invalid acks={acks}: use 0, 1 or -1");
        return Err((ResponseError::InvalidRequiredAcks, reason));
    }
    let found = topic.and_then(|topic| Some((topic, topic.partition(id)?)));
    let (topic, log) = found.ok_or_else(|| {
        let reason = "the partition does not exist".to_owned();
        (ResponseError::UnknownTopicOrPartition, reason)
    })?;
    let wanted = topic.settings.min_insync_replicas();
    if acks == ALL_ACKS && wanted > 1 {
        let reason = format!("min.insync.replicas={wanted}, but there is only one node");
        return Err((ResponseError::NotEnoughReplicas, reason));
    }
    Ok(log)
}

fn store(
    partition: &PartitionLog,
    data: PartitionProduceData,
    version: i16,
    transaction_error: impl Fn(&RecordBatchHeader) -> ResponseError,
) -> Result<AppendInfo, RefusedBatch> {
    let batch = data.records.unwrap_or_default();
    let header = check(&batch, version)?;
    let append = || partition.append(&header, &batch);
    let appended = match is_slow(&header) {
        true => task::block_in_place(append),
        false => append(),
    };
    appended.map_err(|error| {
        let code = match &error {
            AppendError::Refused(
                log::ProducerRefusal::StaleEpoch { .. }
                | log::ProducerRefusal::WrongTransaction(TransactionMismatch::StaleEpoch { .. }),
            ) => ResponseError::InvalidProducerEpoch,
            AppendError::Refused(log::ProducerRefusal::OutOfOrder { .. }) => {
                ResponseError::OutOfOrderSequenceNumber
            }
            AppendError::Refused(log::ProducerRefusal::WrongTransaction(
                TransactionMismatch::NotOpen,
            )) => transaction_error(&header),
            // A producer that gets this error sends the records again in smaller batches.
            AppendError::TooLarge { .. }
            | AppendError::Unreadable(UnreadableRecords::TooLarge { .. }) => {
                ResponseError::MessageTooLarge
            }
            AppendError::Records(refused) if refused.has_timestamp => {
                ResponseError::InvalidTimestamp
            }
            // Not CORRUPT_MESSAGE, after which clients send the same bytes again.
            AppendError::Records(_) | AppendError::Unreadable(_) | AppendError::OffsetDeltas => {
                ResponseError::InvalidRecord
            }
            AppendError::Deleted => ResponseError::UnknownTopicOrPartition,
            AppendError::Storage(_) => storage_error(&error),
        };
        let reason = reason(&error);
        let records = match error {
            AppendError::Records(refused) => refused.records,
            _ => Vec::new(),
        };
        RefusedBatch {
            error: code,
            reason,
            records,
        }
    })
}

/// Returns whether it may take long to check a batch, so that other requests must not wait for it. This is possible only in
/// a runtime with several threads.
fn is_slow(header: &RecordBatchHeader) -> bool {
    let is_large = header.codec() != compression::NONE && header.size > SLOW_BYTES;
    let flavor = || Handle::try_current().map(|runtime| runtime.runtime_flavor());
    is_large && flavor().is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread)
}

/// Returns the error with its cause, which the client needs to find its own fault.
fn reason(error: &AppendError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Makes the checks of Kafka's `ProduceRequest.validateRecords` and `LogValidator` that need only the header.
pub(crate) fn check(batch: &[u8], version: i16) -> Result<RecordBatchHeader, Refusal> {
    let header = batch::verify(batch).map_err(|invalid| match &invalid {
        InvalidBatch::Magic(0 | 1) | InvalidBatch::Count { .. } => {
            (ResponseError::InvalidRecord, invalid.to_string())
        }
        // With more bytes than the header says there is a second batch, with fewer the batch is incomplete.
        InvalidBatch::Truncated { .. } => {
            let reason = format!("a partition needs exactly one complete batch: {invalid}");
            (ResponseError::InvalidRecord, reason)
        }
        _ => (ResponseError::CorruptMessage, invalid.to_string()),
    })?;
    let refuse = |error, reason: &str| Err((error, reason.to_owned()));
    if header.base_offset != Offset(0) {
        return refuse(
            ResponseError::InvalidRecord,
            "the base offset of a batch from a producer must be 0",
        );
    }
    if header.count == 0 || header.last_offset_delta != header.count - 1 {
        return refuse(
            ResponseError::InvalidRecord,
            "the record count does not match the last offset delta",
        );
    }
    if header.is_control() {
        return refuse(
            ResponseError::InvalidRecord,
            "only coordinators may write control batches",
        );
    }
    if header.is_transactional() && header.producer_id.is_none() {
        return refuse(
            ResponseError::InvalidRecord,
            "a transactional batch needs a producer id",
        );
    }
    if header.codec() > LAST_CODEC || header.codec() == ZSTD && version < FIRST_VERSION_OF_ZSTD {
        return refuse(
            ResponseError::UnsupportedCompressionType,
            "this version of the request does not have the codec",
        );
    }
    if header.producer_id.is_some() && header.base_sequence < 0 {
        return refuse(
            ResponseError::InvalidRecord,
            "an idempotent batch needs a sequence number",
        );
    }
    Ok(header)
}

fn respond(index: i32, result: Result<AppendInfo, RefusedBatch>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_log_append_time_ms(-1);
    match result {
        Ok(stored) => response
            .with_base_offset(stored.base_offset.0)
            .with_log_start_offset(stored.log_start.0)
            .with_log_append_time_ms(stored.append_time.unwrap_or(-1)),
        Err(RefusedBatch {
            error,
            reason,
            records,
        }) => {
            let at_fault = records.into_iter().map(|(index, fault)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(super::error_message(fault.to_string()))
            });
            response
                .with_record_errors(at_fault.collect())
                .with_error_code(error.code())
                .with_error_message(super::error_message(reason.clone()))
                .with_base_offset(-1)
                .with_log_start_offset(-1)
        }
    }
}
