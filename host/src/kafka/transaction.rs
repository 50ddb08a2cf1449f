//! Producing in transactions: records, and the offsets of the records that they were made from, are committed together
//! or not at all (KIP-98). A group member that has lost a partition cannot commit offsets of it any more (KIP-447).

use std::time::Duration;

use rdkafka::{
    TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::Producer as _,
};

use super::{
    Cluster, Error, OrderedProducer, TopicLimits, permissions::Permission, producer::DEFAULTS,
};

/// Time after which the broker aborts a transaction. After a crash, readers of committed records may have to wait that
/// long. Kafka Streams uses the same value (KIP-447); librdkafka's default is a minute.
const TRANSACTION_TIMEOUT: (&str, &str) = ("transaction.timeout.ms", "10000");

/// Backoff of a transaction that Kafka rejects because it still writes the markers of the previous one, which takes a
/// few milliseconds. A transaction that only commits offsets takes 106 ms with librdkafka's default of 100 ms, and 11
/// ms with 5 ms (Kafka 4.3.1, two cores). The backoff doubles up to `retry.backoff.max.ms` (1 s).
const RETRY_BACKOFF: (&str, &str) = ("retry.backoff.ms", "5");

/// How long one call waits before the caller is asked whether to go on.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A transactional producer. It runs one transaction at a time; several at a time require several producers. Its calls
/// block.
pub struct TransactionalProducer {
    producer: OrderedProducer,
}

/// The identity of a consumer in the current generation of its group. The coordinator rejects offsets that are
/// committed with the identity of an earlier generation.
pub struct GroupMetadata(pub(super) ConsumerGroupMetadata);

/// The offsets that a transaction commits.
pub struct TransactionOffsets(pub(super) TopicPartitionList);

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The transaction must be aborted with [`TransactionalProducer::abort`], after which another may begin.
    #[error("the transaction must be aborted: {0}")]
    Abort(KafkaError),
    /// The producer cannot be used any more: another one has its transactional id, its transaction took too long, or
    /// the broker denies a permission. It is not known whether a transaction that was being committed is committed.
    #[error("the transactional producer failed: {0}")]
    Fenced(KafkaError),
    /// The broker did not respond until the caller stopped waiting.
    #[error("the broker does not respond to the transactional producer")]
    GivenUp,
}

impl TransactionError {
    /// Returns the permission to grant if its lack is the cause: to use this transactional id, to join this group, or
    /// that which `with_topic` returns for what the transaction did with a topic.
    #[must_use]
    pub fn permission(
        &self,
        id: &str,
        group: &str,
        with_topic: impl FnOnce() -> Permission,
    ) -> Option<Permission> {
        use RDKafkaErrorCode as Code;
        let (Self::Abort(error) | Self::Fenced(error)) = self else {
            return None;
        };
        let KafkaError::Transaction(error) = error else {
            return None;
        };
        match error.code() {
            Code::TransactionalIdAuthorizationFailed => Some(Permission::Transact(id.to_owned())),
            Code::GroupAuthorizationFailed => Some(Permission::Join(group.to_owned())),
            Code::TopicAuthorizationFailed => Some(with_topic()),
            Code::ClusterAuthorizationFailed => Some(Permission::Produce),
            _ => None,
        }
    }
}

/// Called regularly while the broker does not respond. Returns whether to go on waiting.
pub type KeepWaiting<'a> = &'a dyn Fn() -> bool;

impl TransactionalProducer {
    /// Makes a producer with this transactional id. It fences all earlier producers with the same id.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(cluster: &Cluster, limits: &TopicLimits, id: &str) -> Result<Self, Error> {
        let ours = [DEFAULTS, &[TRANSACTION_TIMEOUT, RETRY_BACKOFF]].concat();
        let mut properties = cluster.properties(&ours);
        // The timeout of the transaction applies to its records, too.
        properties.remove("message.timeout.ms");
        properties.set("transactional.id", id);
        let producer = OrderedProducer::with(properties, cluster, limits)?;
        Ok(Self { producer })
    }

    /// Returns the producer for the records of the transaction.
    #[must_use]
    pub fn producer(&self) -> &OrderedProducer {
        &self.producer
    }

    /// Registers the transactional id, and aborts a transaction that an earlier producer left open. Must be called
    /// once, before all else.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn init(&self, go_on: KeepWaiting<'_>) -> Result<(), TransactionError> {
        persist(go_on, || {
            self.producer.inner().init_transactions(CALL_TIMEOUT)
        })
    }

    /// Begins a transaction. The broker is notified with the first record or the offsets.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn begin(&self) -> Result<(), TransactionError> {
        Ok(self.producer.inner().begin_transaction()?)
    }

    /// Returns why the current transaction must be aborted, if it must. Its records were not sent in that case, and
    /// their own errors do not name the cause.
    #[must_use]
    pub fn failure(&self) -> Option<TransactionError> {
        // Beginning a second transaction fails, with the error of the first one if that has failed.
        let error = TransactionError::from(self.producer.inner().begin_transaction().err()?);
        matches!(error, TransactionError::Abort(_)).then_some(error)
    }

    /// Adds offsets to the transaction. Between taking the [`GroupMetadata`] and this call, the caller must check that
    /// it still owns the partitions. After a later rebalance, the coordinator rejects the identity.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn send_offsets(
        &self,
        identity: &GroupMetadata,
        positions: &TransactionOffsets,
        go_on: KeepWaiting<'_>,
    ) -> Result<(), TransactionError> {
        let inner = self.producer.inner();
        persist(go_on, || {
            inner.send_offsets_to_transaction(&positions.0, &identity.0, CALL_TIMEOUT)
        })
    }

    /// Commits the records and offsets of the transaction.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn commit(&self, go_on: KeepWaiting<'_>) -> Result<(), TransactionError> {
        persist(go_on, || {
            self.producer.inner().commit_transaction(CALL_TIMEOUT)
        })
    }

    /// Aborts the transaction.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn abort(&self, go_on: KeepWaiting<'_>) -> Result<(), TransactionError> {
        persist(go_on, || {
            self.producer.inner().abort_transaction(CALL_TIMEOUT)
        })
    }
}

/// Repeats a call until it completes. librdkafka resumes a call that has timed out when it is repeated.
fn persist(
    go_on: KeepWaiting<'_>,
    call: impl Fn() -> KafkaResult<()>,
) -> Result<(), TransactionError> {
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                tracing::debug!(%error, "the broker has not responded to a transactional request; waiting");
                if !go_on() {
                    return Err(TransactionError::GivenUp);
                }
            }
            ended => return Ok(ended?),
        }
    }
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        match &error {
            KafkaError::Transaction(cause) if cause.txn_requires_abort() => Self::Abort(error),
            // A call in the wrong state also requires a new producer.
            _ => Self::Fenced(error),
        }
    }
}
