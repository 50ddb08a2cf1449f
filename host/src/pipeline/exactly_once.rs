//! Exactly once: the effects of some batches and their offsets in one transaction. A transaction is tried again until it is
//! committed, or until the group has given the partitions to other members. A consumer that reads only committed records
//! sees each effect once.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    batch::BatchJob,
    delivery::{Deliverer, DeliveryStatus, PARTITION_WAITS, RETRY_PAUSE, start_queues},
    failpoint::{Failpoint, reached},
    shutdown::{ShutdownSignal, ShuttingDown},
    transaction_size::TransactionSize,
};
use crate::{
    event::TopicPartition,
    kafka::{
        self, Cluster, Consumer, Permission, Refusals, TopicLimits, TransactionError,
        TransactionalProducer,
    },
    telemetry::in_one_line,
};

/// Commits the batches of one worker in transactions, one after the other.
pub(super) struct Transactor {
    cluster: Cluster,
    /// The transactional id. Only an earlier producer of this worker can have the same one, and that is fenced.
    id: String,
    producer: TransactionalProducer,
    limits: TopicLimits,
    refusals: Refusals,
    shutdown: ShutdownSignal,
    size: TransactionSize,
}

/// What one attempt came to.
enum Attempted {
    Committed,
    /// Some records were rejected or not acknowledged. The status is never [`DeliveryStatus::Done`].
    Undelivered(DeliveryStatus),
    /// A partition was revoked.
    Revoked,
}

/// Why an attempt was broken off.
enum Interruption {
    Kafka(TransactionError),
    ShuttingDown,
}

impl Transactor {
    /// Makes the transactional producer `id`.
    ///
    /// # Errors
    /// [`kafka::Error::Properties`].
    pub(super) fn new(
        cluster: &Cluster,
        id: String,
        limits: &TopicLimits,
        refusals: Refusals,
        shutdown: ShutdownSignal,
    ) -> Result<Self, kafka::Error> {
        Ok(Self {
            producer: TransactionalProducer::new(cluster, limits, &id)?,
            cluster: cluster.clone(),
            id,
            limits: limits.clone(),
            refusals,
            shutdown,
            size: TransactionSize::default(),
        })
    }

    /// Returns how many batches the next transaction may have.
    pub(super) fn max_batches(&self) -> usize {
        self.size.max_batches()
    }

    /// Has the broker abort the transaction that an earlier run left open. This comes before anything is consumed: the broker
    /// does not return the committed offset of a partition while an open transaction holds a later one.
    pub(super) fn init(&mut self) -> Result<(), ShuttingDown> {
        loop {
            match self.producer.init(&|| self.shutdown.is_pending()) {
                Ok(()) => {
                    self.refusals
                        .granted(&Permission::Transact(self.id.clone()));
                    return Ok(());
                }
                Err(error) => {
                    self.note_refusal(&error, || Permission::Produce);
                    self.replace_producer(&error)?;
                }
            }
        }
    }

    /// Delivers the effects of these batches, and commits them with the positions of their partitions, all in one
    /// transaction, or in one for each batch if that fails. Batches whose partition was revoked meanwhile are
    /// removed. Returns the batches that wait for a topic, and those behind them in their partitions.
    pub(super) fn deliver(
        &mut self,
        consumer: &Arc<Consumer>,
        deliverer: &Deliverer,
        jobs: &mut Vec<BatchJob>,
    ) -> Result<Vec<BatchJob>, ShuttingDown> {
        start_queues(jobs);
        let mut stuck = Vec::new();
        if !self.deliver_together(consumer, deliverer, jobs)? {
            let mut done = Vec::new();
            for job in std::mem::take(jobs) {
                let is_behind = |other: &BatchJob| other.topic_partition() == job.topic_partition();
                if stuck.iter().any(is_behind) {
                    stuck.push(job);
                    continue;
                }
                let mut alone = vec![job];
                match self.deliver_together(consumer, deliverer, &mut alone)? {
                    true => done.append(&mut alone),
                    false => stuck.append(&mut alone),
                }
            }
            *jobs = done;
        }
        Ok(stuck)
    }

    /// Delivers batches in one transaction. Returns whether all of them are committed or were revoked. If not, the transaction
    /// of several batches failed, or the only batch has a record that waits for its topic.
    fn deliver_together(
        &mut self,
        consumer: &Arc<Consumer>,
        deliverer: &Deliverer,
        jobs: &mut Vec<BatchJob>,
    ) -> Result<bool, ShuttingDown> {
        let mut tries = 0;
        let mut was_rejection = false;
        loop {
            let began = Instant::now();
            let (mut is_in_doubt, mut must_pause) = (false, true);
            match self.attempt(consumer, deliverer, jobs) {
                Ok(Attempted::Committed) => {
                    self.size.note_success(jobs.len(), began.elapsed());
                    self.note_permitted(deliverer, jobs);
                    return Ok(true);
                }
                Ok(Attempted::Undelivered(status)) => {
                    self.abort(None)?;
                    let is_rejection = status != DeliveryStatus::Unacknowledged;
                    // librdkafka continues the sequence numbers behind a rejected batch as if it had been accepted. So the
                    // transaction after it fails as well, and only then the numbers start again.
                    must_pause = !is_rejection && !was_rejection;
                    was_rejection = is_rejection;
                    if status == DeliveryStatus::Stuck || is_rejection && jobs.len() > 1 {
                        start_over(jobs);
                        return Ok(false);
                    }
                }
                Ok(Attempted::Revoked) => self.abort(None)?,
                Err(Interruption::Kafka(error)) => {
                    self.note_failure(&error, deliverer, jobs);
                    self.abort(Some(error))?;
                    is_in_doubt = true;
                }
                Err(Interruption::ShuttingDown) => {
                    self.abort(None)?;
                    return Err(ShuttingDown);
                }
            }
            let are_fewer = remove_revoked(jobs);
            if jobs.is_empty() || (is_in_doubt && self.are_committed(consumer, jobs)?) {
                return Ok(true);
            }
            start_over(jobs);
            if must_pause && !are_fewer {
                deliverer.pause(tries)?;
                tries += 1;
            }
            self.size.note_failure();
            if jobs.len() > 1 {
                return Ok(false);
            }
        }
    }

    fn attempt(
        &self,
        consumer: &Consumer,
        deliverer: &Deliverer,
        jobs: &mut [BatchJob],
    ) -> Result<Attempted, Interruption> {
        let producer = &self.producer;
        deliverer.exclude_records(producer.producer(), jobs)?;
        producer.begin()?;
        reached(Failpoint::Begun);
        let status = deliverer.produce(producer.producer(), jobs)?;
        if status != DeliveryStatus::Done {
            let is_refusal = |error: &TransactionError| {
                self.missing_permission(error, || Permission::Produce)
                    .is_some()
            };
            let refused = producer.failure().filter(is_refusal);
            return refused.map_or(
                Ok(Attempted::Undelivered(status)),
                |error| Err(error.into()),
            );
        }
        reached(Failpoint::Acknowledged);
        // The order matters. A partition that was revoked before the identity was taken is found to be revoked here; if it
        // is revoked later, the coordinator refuses the identity.
        let identity = consumer.identity();
        let may_commit = jobs.iter().all(|job| job.in_flight.may_commit());
        let (Some(identity), true) = (identity, may_commit) else {
            return Ok(Attempted::Revoked);
        };
        let positions = consumer.positions(jobs.iter().filter_map(|job| job.position.as_ref()));
        let positions = positions.map_err(TransactionError::Abort)?;
        let go_on = || self.shutdown.is_pending();
        producer.send_offsets(&identity, &positions, &go_on)?;
        reached(Failpoint::OffsetSent);
        producer.commit(&go_on)?;
        reached(Failpoint::Committed);
        Ok(Attempted::Committed)
    }

    /// Ends a transaction that came to nothing, so that another one can begin.
    fn abort(&mut self, error: Option<TransactionError>) -> Result<(), ShuttingDown> {
        let fatal = match error {
            Some(TransactionError::GivenUp) => return Err(ShuttingDown),
            Some(fatal @ TransactionError::Fenced(_)) => fatal,
            error => {
                if let Some(error) = error.filter(|_| self.refusals.now().is_empty()) {
                    tracing::warn!(%error, "a transaction failed; trying it again");
                }
                match self.producer.abort(&|| self.shutdown.is_pending()) {
                    Ok(()) => return Ok(()),
                    Err(TransactionError::GivenUp) => return Err(ShuttingDown),
                    Err(fatal) => fatal,
                }
            }
        };
        self.replace_producer(&fatal)?;
        self.init()
    }

    /// Makes another producer with the same transactional id.
    fn replace_producer(&mut self, error: &TransactionError) -> Result<(), ShuttingDown> {
        if matches!(error, TransactionError::GivenUp) {
            return Err(ShuttingDown);
        }
        let transactional_id = &self.id;
        let mut pause = RETRY_PAUSE;
        if self.refusals.now().is_empty() {
            tracing::error!(
                %error, transactional_id,
                "the transactional producer cannot go on; replacing it. If this repeats, check whether another daemon has \
                 the same transactional id (group.instance.id, http.advertise)"
            );
        } else {
            // The missing permission is logged already.
            tracing::debug!(%error, transactional_id, "the transactional producer cannot go on; replacing it");
            pause *= 4;
        }
        self.shutdown.sleep(pause)?;
        match TransactionalProducer::new(&self.cluster, &self.limits, &self.id) {
            Ok(producer) => self.producer = producer,
            Err(error) => {
                let error = in_one_line(&error);
                tracing::error!(error, "cannot create a transactional producer");
            }
        }
        Ok(())
    }

    /// The permission that is missing, if that is why a transaction failed. `with_topics` returns it where the broker names
    /// no resource.
    fn missing_permission(
        &self,
        error: &TransactionError,
        with_topics: impl FnOnce() -> Permission,
    ) -> Option<Permission> {
        error.permission(&self.id, &self.cluster.config().group_id, with_topics)
    }

    fn note_refusal(&self, error: &TransactionError, with_topics: impl FnOnce() -> Permission) {
        if let Some(permission) = self.missing_permission(error, with_topics) {
            self.refusals.refused(permission, PARTITION_WAITS);
        }
    }

    fn note_failure(&self, error: &TransactionError, deliverer: &Deliverer, jobs: &[BatchJob]) {
        self.note_refusal(error, || match are_produced(jobs) {
            // The offsets were refused.
            true => Permission::Read(self.cluster.config().topic.clone()),
            false => deliverer.permission(jobs),
        });
    }

    fn note_permitted(&self, deliverer: &Deliverer, jobs: &[BatchJob]) {
        if self.refusals.are_there_any() {
            self.refusals.granted(&deliverer.permission(jobs));
            let kafka = self.cluster.config();
            self.refusals
                .granted(&Permission::Read(kafka.topic.clone()));
            self.refusals
                .granted(&Permission::Join(kafka.group_id.clone()));
        }
    }

    /// Returns whether a transaction was committed although its end is not known.
    ///
    /// It was if all of its partitions stand where it would have put them. If only some do, other members of the group own
    /// these now and have handled the batches again, and this daemon is about to learn that they were revoked.
    fn are_committed(&self, consumer: &Consumer, jobs: &[BatchJob]) -> Result<bool, ShuttingDown> {
        let partitions = jobs.iter().map(|job| job.topic_partition().clone());
        let partitions: BTreeSet<TopicPartition> = partitions.collect();
        let partitions = Vec::from_iter(partitions);
        loop {
            match consumer.committed(&partitions) {
                Ok(committed) => {
                    return Ok(jobs.iter().all(|job| {
                        let committed = committed.get(job.topic_partition());
                        committed.is_some_and(|offset| *offset >= job.next)
                    }));
                }
                Err(error) => {
                    let kafka = self.cluster.config();
                    let (topic, group) = (&kafka.topic, &kafka.group_id);
                    if let Some(permission) = error.permission(topic, group) {
                        self.refusals.refused(permission, PARTITION_WAITS);
                    }
                    let error = in_one_line(&error);
                    tracing::warn!(
                        error,
                        "cannot find out whether a transaction was committed; asking again"
                    );
                    self.shutdown.sleep(RETRY_PAUSE)?;
                }
            }
        }
    }
}

/// Removes the batches whose partition was revoked: its next owner handles them again. Returns whether there were any.
fn remove_revoked(jobs: &mut Vec<BatchJob>) -> bool {
    let before = jobs.len();
    jobs.retain(|job| {
        let may_commit = job.in_flight.may_commit();
        if !may_commit {
            let (partition, generation) = (job.topic_partition(), job.in_flight.generation());
            tracing::info!(%partition, %generation, "a batch is left to the next owner of its partition");
        }
        may_commit
    });
    jobs.len() < before
}

/// Forgets what was produced in a transaction that was aborted.
fn start_over(jobs: &mut [BatchJob]) {
    for job in jobs {
        job.queue.start_over();
    }
}

fn are_produced(jobs: &[BatchJob]) -> bool {
    jobs.iter().all(|job| job.queue.is_done())
}

impl From<TransactionError> for Interruption {
    fn from(error: TransactionError) -> Self {
        Self::Kafka(error)
    }
}

impl From<ShuttingDown> for Interruption {
    fn from(_: ShuttingDown) -> Self {
        Self::ShuttingDown
    }
}
