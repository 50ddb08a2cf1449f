//! `InitProducerId`: an id for an idempotent producer. For transactional ones it comes with the transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::embedded::Shared;

/// A new id at epoch 0. One that the producer had before is let go, as Kafka does without a transactional id.
pub fn handle(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let refuse = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return refuse(ResponseError::UnsupportedVersion);
    }
    match shared.producer_ids.take() {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id.0))
            .with_producer_epoch(0),
        Err(error) => refuse(ResponseError::from(&error)),
    }
}
