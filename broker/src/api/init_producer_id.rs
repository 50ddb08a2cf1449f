//! `InitProducerId`: an id and an epoch, for an idempotent producer or a transactional one.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::Shared;
use crate::ids::{self, Producer};
use crate::coordinator::transaction::TransactionError;

/// Before this version a fenced producer is told that its epoch is invalid (KIP-588).
const FIRST_VERSION_OF_FENCED: i16 = 4;

/// A new id at epoch 0, or with a transactional id the next epoch of what that has.
///
/// An id that an idempotent producer had before is let go, as Kafka does.
pub fn handle(
    shared: &Shared,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let given = match &request.transactional_id {
        None => {
            let id = shared.producer_ids.take();
            id.map(|id| Producer { id, epoch: 0 })
                .map_err(TransactionError::from)
        }
        Some(transactional_id) => shared.transactions.begin(
            shared.stores(),
            &shared.producer_ids,
            transactional_id,
            request.transaction_timeout_ms,
            expected(request),
        ),
    };
    let (code, producer_id, epoch) = match given {
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

/// Whom the producer believes to be (KIP-360).
fn expected(request: &InitProducerIdRequest) -> Option<Producer> {
    (request.producer_id.0 >= 0).then_some(Producer {
        id: ids::ProducerId(request.producer_id.0),
        epoch: request.producer_epoch,
    })
}
