//! What becomes of a record that is produced.

use std::{
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::DeliveryFuture,
};

use super::renewable::Renewable;
use crate::{
    event::{Offset, Partition},
    refusals::Permission,
};

/// A record on its way; await it for the broker's acknowledgement.
pub struct Delivery {
    answer: DeliveryFuture,
    client: Arc<Renewable>,
}

impl Delivery {
    pub(super) fn new(answer: DeliveryFuture, client: &Arc<Renewable>) -> Self {
        let client = Arc::clone(client);
        Self { answer, client }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| match answer {
                Ok(Ok(delivery)) => Ok(Delivered {
                    partition: Partition(delivery.partition),
                    offset: Offset(delivery.offset),
                }),
                Ok(Err((error, _))) => Err(ProduceError::of(&self.client, error)),
                Err(_) => Err(ProduceError::Unavailable("it is shutting down".to_owned())),
            })
    }
}

/// Where a record was put, once the broker acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition that it is in.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
}

/// Why a record was not, or may not have been, produced.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// The queue to the broker is full; later there may be room.
    #[error("the queue of records to produce is full")]
    QueueFull,
    /// The broker, or the client's own setting, takes no record of this size.
    #[error("the record is larger than the broker takes")]
    TooLarge,
    /// The broker cannot be reached, or did not acknowledge in time.
    #[error("the broker does not acknowledge: {0}")]
    Unavailable(String),
    /// The broker does not permit to write to the topic.
    #[error("the broker does not permit this daemon to write to the topic")]
    NotPermitted,
    /// The broker does not permit to write to any topic, so not to the one of dead letters either.
    #[error("the broker does not permit this daemon to write to any topic")]
    NothingIsPermitted,
    /// The broker refused it for good.
    #[error("the broker refused the record: {0}")]
    Refused(String),
}

impl ProduceError {
    /// Whether to produce the same record again is of no use.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::TooLarge | Self::NotPermitted | Self::Refused(_))
    }

    /// What is to be granted, if that is what a record to this topic lacks.
    #[must_use]
    pub fn permission(&self, topic: &str) -> Option<Permission> {
        match self {
            Self::NotPermitted => Some(Permission::Write(topic.to_owned())),
            Self::NothingIsPermitted => Some(Permission::Produce),
            _ => None,
        }
    }

    /// What happened to its client says more than what that says of the record.
    pub(super) fn of(client: &Renewable, error: KafkaError) -> Self {
        match client.given_up() {
            Some((RDKafkaErrorCode::ClusterAuthorizationFailed, _)) => Self::NothingIsPermitted,
            Some((_, why)) => Self::Unavailable(why),
            None => error.into(),
        }
    }
}

impl From<KafkaError> for ProduceError {
    fn from(error: KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => Self::QueueFull,
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Self::TooLarge,
            Some(Code::TopicAuthorizationFailed) => Self::NotPermitted,
            Some(Code::InvalidRecord | Code::InvalidTopic | Code::PolicyViolation) => {
                Self::Refused(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
