//! Why a record was not produced: the classification of the errors of librdkafka and of the broker.
//!
//! A producer with `message.timeout.ms` = 0 retries whatever librdkafka considers retriable, so an error that it returns
//! is final, except for those in the closed list of [`is_transient`].

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::permissions::Permission;

/// Why a record was not produced, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The queue of records to produce is full. There may be room later.
    #[error("the queue of records to produce is full")]
    QueueFull,
    /// The record, or the batch that it was sent in, exceeds the limit of the broker, of the topic, or of a property of
    /// the client.
    #[error("the record is larger than the broker accepts")]
    TooLarge,
    /// No broker is connected, so the record was not enqueued.
    #[error("no broker is connected")]
    Disconnected,
    /// The topic or the partition does not exist, so the record was not stored.
    #[error("the broker does not have the topic or the partition: {0}")]
    TopicMissing(String),
    /// The broker cannot be reached any more, or did not acknowledge the record in time. It may have stored it.
    #[error("the broker did not acknowledge the record: {0}")]
    Unavailable(String),
    /// The user of this daemon may not write to the topic.
    #[error("the broker does not permit this daemon to write to the topic")]
    NotPermitted,
    /// The user of this daemon may not write to any topic, so a dead letter cannot be produced either.
    #[error("the broker does not permit this daemon to write to any topic")]
    NothingIsPermitted,
    /// The broker rejected the record, and would reject it again.
    #[error("the broker rejected the record: {0}")]
    Refused(String),
    /// The settings of the topic exclude the record, so it was not sent.
    #[error("the settings of the topic exclude the record: {0}")]
    Excluded(String),
    /// The broker rejected the batch because of another record in it.
    #[error("the broker rejected another record of the same batch")]
    OtherRecordRefused,
}

impl ProduceError {
    /// Returns whether producing the same record again would fail again. If the record was sent in a batch with others,
    /// this is only known of [`ProduceError::NotPermitted`]: the broker rejects a batch as a whole.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.is_about_the_record() || matches!(self, Self::NotPermitted)
    }

    /// Returns whether the error is about this very record, so that another one may be accepted nevertheless.
    #[must_use]
    pub fn is_about_the_record(&self) -> bool {
        matches!(self, Self::TooLarge | Self::Refused(_) | Self::Excluded(_))
    }

    /// Returns the permission to grant if a record for this topic failed for lack of it.
    #[must_use]
    pub fn permission(&self, topic: &str) -> Option<Permission> {
        match self {
            Self::NotPermitted => Some(Permission::Write(topic.to_owned())),
            Self::NothingIsPermitted => Some(Permission::Produce),
            _ => None,
        }
    }
}

impl From<KafkaError> for ProduceError {
    fn from(error: KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => Self::QueueFull,
            // The last one means that a batch is larger than a segment of the topic.
            Some(
                Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge,
            ) => Self::TooLarge,
            Some(Code::TopicAuthorizationFailed) => Self::NotPermitted,
            Some(Code::InvalidDifferentRecord) => Self::OtherRecordRefused,
            // It may be created again.
            Some(
                Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopicId,
            ) => Self::TopicMissing(error.to_string()),
            Some(code) if is_transient(code) => Self::Unavailable(error.to_string()),
            // Without a code the record could not be handed to librdkafka, for example because of the name of its topic.
            _ => Self::Refused(error.to_string()),
        }
    }
}

/// Returns whether an error is about the connection, the state of the cluster or of the producer, or the lack of a
/// permission: a record that fails with it may succeed later.
fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // Timeouts and the connection.
        Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::NetworkException
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            // Records that the client gave up, or the client itself.
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::BrokerDestroy
            | Code::DestroyBroker
            | Code::Interrupted
            | Code::Retry
            | Code::Outdated
            | Code::State
            | Code::Fatal
            | Code::Fenced
            | Code::Inconsistent
            | Code::GaplessGuarantee
            // The state of the producer on the broker.
            | Code::OutOfOrderSequenceNumber
            | Code::DuplicateSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping
            | Code::InvalidTransactionalState
            | Code::ConcurrentTransactions
            | Code::TransactionCoordinatorFenced
            | Code::ProducerFenced
            // The state of the cluster.
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::ISRInsufficient
            | Code::KafkaStorageError
            | Code::ThrottlingQuotaExceeded
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            // A permission that is missing may be granted. That for a single topic is an error of its own.
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::DelegationTokenAuthorizationFailed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: RDKafkaErrorCode) -> ProduceError {
        KafkaError::MessageProduction(code).into()
    }

    #[test]
    fn what_is_not_in_the_closed_list_is_final() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::InvalidRecord,
            Code::InvalidTimestamp,
            Code::InvalidTopic,
            Code::PolicyViolation,
            Code::Unknown,
            Code::InvalidMessage,
            Code::UnsupportedForMessageFormat,
            Code::UnsupportedCompressionType,
            Code::InvalidRequiredAcks,
        ] {
            assert!(matches!(of(code), ProduceError::Refused(_)), "{code:?}");
            assert!(of(code).is_final(), "{code:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::MessageBatchTooLarge] {
            assert_eq!(of(code), ProduceError::TooLarge);
        }
    }

    #[test]
    fn what_may_succeed_later_is_not_final() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::MessageTimedOut,
            Code::BrokerTransportFailure,
            Code::PurgeQueue,
            Code::Fatal,
            Code::UnknownTopicOrPartition,
            Code::NotEnoughReplicas,
            Code::InvalidDifferentRecord,
            Code::QueueFull,
        ] {
            assert!(!of(code).is_final(), "{code:?}");
        }
    }

    #[test]
    fn an_impossible_name_of_a_topic_is_final() {
        let nul = std::ffi::CString::new("a\0b").expect_err("it has a NUL");
        assert!(ProduceError::from(KafkaError::Nul(nul)).is_final());
    }
}
