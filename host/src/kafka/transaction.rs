//! Producing in transactions: records, and the offset of what they came of, count together or not at all. The protocol
//! is that of KIP-98; that a member of a group which has lost a partition can commit nothing of it any more, KIP-447's.

use std::time::Duration;

use rdkafka::{
    TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::Producer as _,
};

use super::{Cluster, Error, Producer, permissions::Permission, producer::OURS};

/// How long a transaction may take before the broker aborts it: as long as those who read only what is committed may
/// have to wait after a kill. Kafka Streams has the same (KIP-447); librdkafka's default is a minute.
const TIMEOUT: (&str, &str) = ("transaction.timeout.ms", "10000");

/// A transaction follows the one before at once, and Kafka refuses it while it still writes the markers of that, for a few
/// milliseconds: with librdkafka's default of 100 ms each that only commits offsets takes 106 ms, with 5 it takes 11 (Kafka
/// 4.3.1, two cores). Asked again and again it doubles, up to `retry.backoff.max.ms` (1 s).
const BACKOFF: (&str, &str) = ("retry.backoff.ms", "5");

/// How long one call waits, before whoever waits is asked whether to go on.
const STEP: Duration = Duration::from_secs(2);

/// A producer of records that count once their transaction is committed. One transaction after the other: whoever
/// wants several at a time has several of these. Its calls block.
pub struct Transactional {
    producer: Producer,
}

/// Who this consumer is in its group at a moment. Once the group has shared out its partitions anew, the coordinator
/// refuses what is committed in its name.
pub struct Identity(pub(super) ConsumerGroupMetadata);

/// Where the group stands once a transaction is committed.
pub struct Positions(pub(super) TopicPartitionList);

/// Why a transaction has not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Nothing of it counts; [`Transactional::abort`] ends it, and another may begin.
    #[error("the transaction has to be aborted: {0}")]
    Abort(KafkaError),
    /// This producer can do nothing more: another has its transactional id, its transaction took too long, or the broker
    /// refuses it. Whether what it was about to commit is committed is not known.
    #[error("the transactional producer cannot go on: {0}")]
    Fenced(KafkaError),
    /// The broker does not answer, and nobody wants to wait any more.
    #[error("the broker does not answer about the transaction")]
    GivenUp,
}

impl TransactionError {
    /// What is to be granted, if that is what it lacks: to have this transactional id, to be in this group, or what the
    /// transaction did with a topic.
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

/// Asked now and then while the broker does not answer.
pub type GoOn<'a> = &'a dyn Fn() -> bool;

impl Transactional {
    /// A producer with this transactional id: of those that have it only the newest may do anything.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(cluster: &Cluster, id: &str) -> Result<Self, Error> {
        let ours = [OURS, &[TIMEOUT, BACKOFF]].concat();
        let mut properties = cluster.properties(&ours);
        // The time of the transaction bounds that of its records.
        properties.remove("message.timeout.ms");
        properties.set("transactional.id", id);
        let producer = Producer::with(&properties, cluster, |_| {})?;
        Ok(Self { producer })
    }

    /// For the records of the transaction.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Takes the transactional id, and has the broker abort what is left open under it. Once, before all else.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn init(&self, go_on: GoOn<'_>) -> Result<(), TransactionError> {
        persist(go_on, || self.producer.inner().init_transactions(STEP))
    }

    /// Begins a transaction; the broker learns of it with the first record, or the offsets.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn begin(&self) -> Result<(), TransactionError> {
        Ok(self.producer.inner().begin_transaction()?)
    }

    /// Why the transaction that was begun has to be aborted, if it has: its records were not even sent then, and do not
    /// tell.
    #[must_use]
    pub fn failure(&self) -> Option<TransactionError> {
        // A second one cannot be begun, and the error is that of the first, if it has one.
        let error = TransactionError::from(self.producer.inner().begin_transaction().err()?);
        matches!(error, TransactionError::Abort(_)).then_some(error)
    }

    /// Adds where the group stands. Between taking the [`Identity`] and this call, whoever calls makes sure that the
    /// partitions are still its own: a later rebalance then refuses it.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn send_offsets(
        &self,
        identity: &Identity,
        positions: &Positions,
        go_on: GoOn<'_>,
    ) -> Result<(), TransactionError> {
        let inner = self.producer.inner();
        persist(go_on, || {
            inner.send_offsets_to_transaction(&positions.0, &identity.0, STEP)
        })
    }

    /// Commits all of it, what was produced since it began and where the group stands.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn commit(&self, go_on: GoOn<'_>) -> Result<(), TransactionError> {
        persist(go_on, || self.producer.inner().commit_transaction(STEP))
    }

    /// Ends a transaction of which nothing counts.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn abort(&self, go_on: GoOn<'_>) -> Result<(), TransactionError> {
        persist(go_on, || self.producer.inner().abort_transaction(STEP))
    }
}

/// librdkafka resumes a call that did not end in its time when it is made again.
fn persist(go_on: GoOn<'_>, call: impl Fn() -> KafkaResult<()>) -> Result<(), TransactionError> {
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                tracing::debug!(%error, "waiting for the broker to answer about a transaction");
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
            // What is called in a wrong state is mended by a new producer, too.
            _ => Self::Fenced(error),
        }
    }
}
