//! `InitProducerId`: assigns an id and an epoch to an idempotent or transactional producer.

use kafka_protocol::{
    error::ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};

use crate::{
    coordinator::transaction::TransactionError,
    ids::{self, Producer},
    shared::Shared,
};

/// The first version with an error code for fenced producers; before, the code says that the epoch is invalid (KIP-588).
const FIRST_VERSION_OF_FENCED: i16 = 4;

/// Returns a new id with epoch 0 or, for a transactional id, its producer id with the next epoch.
///
/// An idempotent producer that asks again gets a new id, as from Kafka.
pub(crate) fn handle(
    shared: &Shared,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let assigned = match &request.transactional_id {
        None => {
            let id = shared.producer_ids.assign();
            id.map(|id| Producer { id, epoch: 0 })
                .map_err(TransactionError::from)
        }
        Some(transactional_id) => shared.transactions.begin(
            shared.stores(),
            &shared.producer_ids,
            transactional_id,
            request.transaction_timeout_ms,
            current(request),
        ),
    };
    let (code, producer_id, epoch) = match assigned {
        Ok(producer) => (0, producer.id.0, producer.epoch),
        Err(TransactionError::Fenced) if version < FIRST_VERSION_OF_FENCED => {
            (ResponseError::InvalidProducerEpoch.code(), -1, -1)
        }
        Err(error) => (ResponseError::from(&error).code(), -1, -1),
    };
    InitProducerIdResponse::default()
        .with_error_code(code)
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch)
}

/// Returns the id and epoch that the producer already has (KIP-360).
fn current(request: &InitProducerIdRequest) -> Option<Producer> {
    (request.producer_id.0 >= 0).then_some(Producer {
        id: ids::ProducerId(request.producer_id.0),
        epoch: request.producer_epoch,
    })
}
