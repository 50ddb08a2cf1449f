//! `AddPartitionsToTxn`, `AddOffsetsToTxn`, `TxnOffsetCommit` and `EndTxn`: the requests of a transactional producer after
//! `InitProducerId` has assigned its epoch.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, ProducerId,
        TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        add_partitions_to_txn_response::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
        },
        offset_commit_request::OffsetCommitRequestPartition,
        txn_offset_commit_request::TxnOffsetCommitRequestPartition,
        txn_offset_commit_response::{
            TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
        },
    },
};

use super::groups::offsets::checked;
use crate::{
    coordinator::transaction::TransactionError,
    ids::{self, PartitionId, Producer},
    record::{batch::RecordBatchHeader, control_batch::Outcome},
    shared::Shared,
};

/// The first version of each of these requests with an error code for fenced producers; before, the code says that the
/// epoch is invalid (KIP-588).
const FIRST_VERSION_OF_FENCED: i16 = 2;
/// The first version of `Produce` with an error code after which a client can abort and continue (KIP-890).
const FIRST_PRODUCE_VERSION_OF_ABORTABLE: i16 = 11;

impl From<&TransactionError> for ResponseError {
    fn from(error: &TransactionError) -> ResponseError {
        match error {
            TransactionError::Concurrent => ResponseError::ConcurrentTransactions,
            TransactionError::Fenced => ResponseError::ProducerFenced,
            TransactionError::Mapping => ResponseError::InvalidProducerIdMapping,
            TransactionError::State => ResponseError::InvalidTxnState,
            TransactionError::Timeout(_) => ResponseError::InvalidTransactionTimeout,
            TransactionError::Name => ResponseError::InvalidRequest,
            TransactionError::Storage(error) => ResponseError::from(error),
        }
    }
}

/// Returns the error code that this version of a request has for the result.
fn code(result: Result<(), TransactionError>, version: i16) -> i16 {
    match result.as_ref().err().map(ResponseError::from) {
        None => 0,
        Some(ResponseError::ProducerFenced) if version < FIRST_VERSION_OF_FENCED => {
            ResponseError::InvalidProducerEpoch.code()
        }
        Some(error) => error.code(),
    }
}

fn producer(id: ProducerId, epoch: i16) -> Producer {
    Producer {
        id: ids::ProducerId(id.0),
        epoch,
    }
}

/// Returns why a batch does not fit the transactions of a partition, as this version of `Produce` says it.
pub(crate) fn transaction_error(
    shared: &Shared,
    transactional_id: Option<&str>,
    batch: &RecordBatchHeader,
    produce_version: i16,
) -> ResponseError {
    let checked = match (transactional_id, batch.producer()) {
        // Kafka uses this code for a missing transactional id even without authorization.
        (None, _) if batch.is_transactional() => {
            return ResponseError::TransactionalIdAuthorizationFailed;
        }
        (Some(id), Some(producer)) => shared.transactions.check(id, producer),
        _ => Ok(()),
    };
    match checked {
        Err(TransactionError::Fenced) => ResponseError::InvalidProducerEpoch,
        Err(error) => ResponseError::from(&error),
        Ok(()) if produce_version < FIRST_PRODUCE_VERSION_OF_ABORTABLE => {
            ResponseError::InvalidTxnState
        }
        Ok(()) => ResponseError::TransactionAbortable,
    }
}

/// Adds all partitions or none. If one is unknown, it gets that error, and the others one that says that nothing was done.
pub(crate) fn add_partitions(
    shared: &Shared,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics;
    let exists = |topic: &AddPartitionsToTxnTopic, index: i32| {
        let log = shared.topics.partition(&topic.name, PartitionId(index));
        log.is_some()
    };
    let all_exist = topics.iter().all(|topic| {
        let mut partitions = topic.partitions.iter();
        partitions.all(|index| exists(topic, *index))
    });
    let added = all_exist.then(|| {
        let partitions = topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|index| (topic.name.to_string(), PartitionId(*index)))
        });
        let result = shared.transactions.add_partitions(
            shared.stores(),
            &request.v3_and_below_transactional_id,
            producer(
                request.v3_and_below_producer_id,
                request.v3_and_below_producer_epoch,
            ),
            partitions.collect(),
        );
        code(result, version)
    });
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let code = added.unwrap_or_else(|| match exists(topic, *index) {
                true => ResponseError::OperationNotAttempted.code(),
                false => ResponseError::UnknownTopicOrPartition.code(),
            });
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

/// Adds the group whose offsets the transaction will commit.
pub(crate) fn add_offsets(
    shared: &Shared,
    request: &AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let result = shared.transactions.add_group(
        &request.transactional_id,
        producer(request.producer_id, request.producer_epoch),
        &request.group_id,
    );
    AddOffsetsToTxnResponse::default().with_error_code(code(result, version))
}

/// Stores offsets that become visible when the transaction commits.
pub(crate) fn commit_offsets(
    shared: &Shared,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let allowed = shared.groups.check_transactional_commit(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        request.generation_id,
    );
    let refused = allowed.err().map(|error| ResponseError::from(&error));
    let mut commits = Vec::new();
    let mut results: Vec<TxnOffsetCommitResponseTopic> = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let error = refused.or_else(|| {
                checked(shared, &topic.name, ordinary(partition))
                    .map(|commit| commits.push(commit))
                    .err()
            });
            partitions.push(
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error.map_or(0, |error| error.code())),
            );
        }
        results.push(
            TxnOffsetCommitResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions),
        );
    }
    if refused.is_none() {
        let stored = shared.transactions.commit_offsets(
            &request.transactional_id,
            producer(request.producer_id, request.producer_epoch),
            &request.group_id,
            commits,
        );
        let code = match stored {
            // In Kafka, the error comes from the log of the group coordinator, which has no code for fencing.
            Err(TransactionError::Fenced) => ResponseError::InvalidProducerEpoch.code(),
            result => code(result, FIRST_VERSION_OF_FENCED),
        };
        let partitions = results.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.error_code == 0) {
            partition.error_code = code;
        }
    }
    TxnOffsetCommitResponse::default().with_topics(results)
}

/// Converts the partition into the type of an ordinary commit.
fn ordinary(partition: TxnOffsetCommitRequestPartition) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_committed_metadata(partition.committed_metadata)
}

/// Commits or aborts the transaction.
pub(crate) fn end(shared: &Shared, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
    let outcome = match request.committed {
        true => Outcome::Commit,
        false => Outcome::Abort,
    };
    let result = shared.transactions.end(
        shared.stores(),
        &request.transactional_id,
        producer(request.producer_id, request.producer_epoch),
        outcome,
    );
    EndTxnResponse::default().with_error_code(code(result, version))
}
