//! `AddPartitionsToTxn`, `AddOffsetsToTxn`, `TxnOffsetCommit`, `EndTxn`: the calls of a transactional producer, between
//! the `InitProducerId` that gives it its epoch and the next one.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, ProducerId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::groups::offsets::checked;
use crate::Shared;
use crate::record::batch::Header;
use crate::ids::{self, PartitionId, Producer};
use crate::record::control_batch::Outcome;
use crate::coordinator::transaction::TransactionError;

/// Before this version of each call here, a fenced producer is told that its epoch is invalid (KIP-588).
const FIRST_VERSION_OF_FENCED: i16 = 2;
/// From this version of `Produce` on, clients know that they can abort and go on (KIP-890).
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

/// What a client of that version understands.
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

/// Why a partition has no transaction of this batch's producer open, as a produce request of that version is told.
pub fn why_outside(
    shared: &Shared,
    transactional_id: Option<&str>,
    batch: &Header,
    produce_version: i16,
) -> ResponseError {
    let checked = match (transactional_id, batch.producer()) {
        // Without authorization too, it is Kafka's word for an id that is missing.
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

/// All partitions or none: where one is unknown, it says so, and the others that nothing was tried.
pub fn add_partitions(
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

/// The group whose offsets are to come.
pub fn add_offsets(
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

/// Offsets that count once the transaction is committed.
pub fn commit_offsets(shared: &Shared, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let may = shared.groups.check_transactional_commit(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        request.generation_id,
    );
    let refused = may.err().map(|error| ResponseError::from(&error));
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
            // As the log of a group coordinator would say it.
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

/// The same content in the type of an ordinary commit.
fn ordinary(partition: TxnOffsetCommitRequestPartition) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_committed_metadata(partition.committed_metadata)
}

/// Commits or aborts.
pub fn end(shared: &Shared, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
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
