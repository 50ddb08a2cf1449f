//! Exactly once: the effects of some batches and their offsets in one transaction, again and again until it is committed,
//! or other members of the group have the partitions. Who reads only what is committed sees each effect once.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    assignment::Tenures,
    delivery::{AGAIN, Deliverer, Handled, WAITS},
    failpoint::{Point, reached},
    shutdown::{Stop, Stopped},
};
use crate::{
    kafka::{self, Cluster, Consumer, Permission, Refusals, TransactionError, Transactional},
    telemetry::in_one_line,
};

/// Commits the batches of one worker, as many at a time as it is given.
pub(super) struct Transactor {
    pub transactions: Transactions,
}

/// The other parts that it needs.
pub(super) struct Group {
    pub consumer: Arc<Consumer>,
    pub tenures: Arc<Tenures>,
}

/// What one try came to.
enum Tried {
    Committed,
    /// Records were not acknowledged: those that never will be are dead letters in the next try.
    Unacknowledged,
    /// A partition is another member's now.
    Revoked,
}

/// Why there was no end to a try.
enum Failure {
    Kafka(TransactionError),
    Stopped(Stopped),
}

impl Transactor {
    /// Brings about the effects of these batches, and commits them with where their partitions stand then: all in one
    /// transaction. Those whose partition another member has by then are left out.
    pub(super) fn deliver(
        &mut self,
        group: &Group,
        deliverer: &Deliverer,
        batches: &mut Vec<Handled>,
    ) -> Result<(), Stopped> {
        for tries in 0.. {
            let is_in_doubt = match self.attempt(group, deliverer, batches) {
                Ok(Tried::Committed) => {
                    self.note_permitted(deliverer, batches);
                    break;
                }
                Ok(Tried::Unacknowledged | Tried::Revoked) => {
                    self.transactions.give_up(None)?;
                    false
                }
                Err(Failure::Kafka(error)) => {
                    self.note(&error, deliverer, batches);
                    self.transactions.give_up(Some(error))?;
                    true
                }
                Err(Failure::Stopped(stopped)) => {
                    self.transactions.give_up(None)?;
                    return Err(stopped);
                }
            };
            let are_fewer = leave_out_revoked(group, batches);
            if batches.is_empty() || (is_in_doubt && self.are_committed(group, batches)?) {
                break;
            }
            for batch in batches.iter_mut() {
                batch.outbox.begin_anew();
            }
            if !are_fewer {
                deliverer.pause(tries)?;
            }
        }
        for batch in batches.iter() {
            deliverer.count(&batch.effects, &batch.outbox);
        }
        Ok(())
    }

    fn attempt(
        &self,
        group: &Group,
        deliverer: &Deliverer,
        batches: &mut [Handled],
    ) -> Result<Tried, Failure> {
        let Transactions { producer, stop, .. } = &self.transactions;
        producer.begin()?;
        reached(Point::Begun);
        for batch in batches.iter_mut() {
            let originals = batch.work.originals();
            let (effects, outbox) = (&mut batch.effects, &mut batch.outbox);
            deliverer.produce(producer.producer(), &originals, effects, outbox)?;
        }
        if !are_produced(batches) {
            let is_refusal = |error: &TransactionError| {
                let lacking = self.transactions.lacking(error, || Permission::Produce);
                lacking.is_some()
            };
            let refused = producer.failure().filter(is_refusal);
            return refused.map_or(Ok(Tried::Unacknowledged), |error| Err(error.into()));
        }
        reached(Point::Acknowledged);
        // In this order: had a partition been taken away before, it would be seen now; if it is later, the
        // coordinator refuses who we were.
        let identity = group.consumer.identity();
        let (Some(identity), true) = (identity, batches.iter().all(|batch| stands(group, batch)))
        else {
            return Ok(Tried::Revoked);
        };
        let positions = batches.iter().map(|batch| batch.position);
        let positions = group.consumer.positions(positions);
        let positions = positions.map_err(TransactionError::Abort)?;
        let go_on = || stop.is_not_yet();
        producer.send_offsets(&identity, &positions, &go_on)?;
        reached(Point::OffsetSent);
        producer.commit(&go_on)?;
        reached(Point::Committed);
        Ok(Tried::Committed)
    }

    fn note(&self, error: &TransactionError, deliverer: &Deliverer, batches: &[Handled]) {
        self.transactions
            .note(error, || match are_produced(batches) {
                // Its offsets were refused.
                true => Permission::Read(self.transactions.cluster.config().topic.clone()),
                false => deliverer.permission(batches),
            });
    }

    fn note_permitted(&self, deliverer: &Deliverer, batches: &[Handled]) {
        let Transactions {
            cluster, refusals, ..
        } = &self.transactions;
        if refusals.are_there_any() {
            refusals.granted(&deliverer.permission(batches));
            refusals.granted(&Permission::Read(cluster.config().topic.clone()));
            refusals.granted(&Permission::Join(cluster.config().group_id.clone()));
        }
    }

    /// Whether a transaction whose end was not told was committed all the same.
    ///
    /// It was if all of its partitions stand where it would have put them. If only some do, these are another member's by
    /// now, which did it again, and that is about to be told here.
    fn are_committed(&self, group: &Group, batches: &[Handled]) -> Result<bool, Stopped> {
        let each = batches.iter().map(|batch| batch.position.partition);
        let partitions = Vec::from_iter(BTreeSet::from_iter(each));
        let Transactions {
            cluster,
            refusals,
            stop,
            ..
        } = &self.transactions;
        let kafka = cluster.config();
        loop {
            match group.consumer.committed(&partitions) {
                Ok(committed) => {
                    return Ok(batches.iter().all(|Handled { position, .. }| {
                        let committed = committed.get(&position.partition);
                        committed.is_some_and(|offset| *offset >= position.next)
                    }));
                }
                Err(error) => {
                    if let Some(permission) = error.permission(&kafka.topic, &kafka.group_id) {
                        refusals.refused(permission, WAITS);
                    }
                    let error = in_one_line(&error);
                    tracing::warn!(error, "cannot find out whether a transaction was committed");
                    stop.pause(AGAIN)?;
                }
            }
        }
    }
}

fn stands(group: &Group, batch: &Handled) -> bool {
    let Handled { position, work, .. } = batch;
    group.tenures.stands(position.partition, work.tenure)
}

/// Whoever has the partition of such a batch now handles it again. Answers whether there was any.
fn leave_out_revoked(group: &Group, batches: &mut Vec<Handled>) -> bool {
    let before = batches.len();
    batches.retain(|batch| {
        let stands = stands(group, batch);
        if !stands {
            let partition = batch.position.partition;
            tracing::info!(%partition, "a batch is left to the partition's new owner");
        }
        stands
    });
    batches.len() < before
}

fn are_produced(batches: &[Handled]) -> bool {
    batches.iter().all(|batch| batch.outbox.is_done())
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        Self::Kafka(error)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// One worker's transactions, one after the other.
pub(super) struct Transactions {
    pub cluster: Cluster,
    /// The transactional id. Nobody else has it, but for this one's own former self, which is fenced.
    id: String,
    pub producer: Transactional,
    pub refusals: Refusals,
    pub stop: Stop,
}

impl Transactions {
    /// # Errors
    /// [`kafka::Error`], for properties that make no client.
    pub(super) fn new(
        cluster: Cluster,
        id: String,
        refusals: Refusals,
        stop: Stop,
    ) -> Result<Self, kafka::Error> {
        Ok(Self {
            producer: Transactional::new(&cluster, &id)?,
            cluster,
            id,
            refusals,
            stop,
        })
    }

    /// Has the broker abort what a former self left open. Before anything is consumed: the broker does not tell a committed
    /// offset of which such a transaction holds a later one.
    pub(super) fn init(&mut self) -> Result<(), Stopped> {
        loop {
            match self.producer.init(&|| self.stop.is_not_yet()) {
                Ok(()) => {
                    self.refusals
                        .granted(&Permission::Transact(self.id.clone()));
                    return Ok(());
                }
                Err(error) => {
                    self.note(&error, || Permission::Produce);
                    self.replace(&error)?;
                }
            }
        }
    }

    /// Makes room for another transaction after one that came to nothing.
    pub(super) fn give_up(&mut self, error: Option<TransactionError>) -> Result<(), Stopped> {
        let fatal = match error {
            Some(TransactionError::GivenUp) => return Err(Stopped),
            Some(fatal @ TransactionError::Fenced(_)) => fatal,
            error => {
                if let Some(error) = error.filter(|_| self.refusals.now().is_empty()) {
                    tracing::warn!(%error, "trying the transaction again");
                }
                match self.producer.abort(&|| self.stop.is_not_yet()) {
                    Ok(()) => return Ok(()),
                    Err(TransactionError::GivenUp) => return Err(Stopped),
                    Err(fatal) => fatal,
                }
            }
        };
        self.replace(&fatal)?;
        self.init()
    }

    /// Another producer of the same id.
    fn replace(&mut self, error: &TransactionError) -> Result<(), Stopped> {
        if matches!(error, TransactionError::GivenUp) {
            return Err(Stopped);
        }
        let transactional_id = &self.id;
        // What is not permitted was told.
        let mut pause = AGAIN;
        if self.refusals.now().is_empty() {
            tracing::error!(
                %error, transactional_id,
                "beginning anew with another producer; if this goes on, look whether another daemon has the same id \
                 (group.instance.id, http.advertise)"
            );
        } else {
            tracing::debug!(%error, transactional_id, "beginning anew with another producer");
            pause *= 4;
        }
        self.stop.pause(pause)?;
        match Transactional::new(&self.cluster, &self.id) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::error!(error = in_one_line(&error), "no producer"),
        }
        Ok(())
    }

    /// What is to be granted, if that is what failed; `with_topics` says it where the broker names no resource.
    pub(super) fn lacking(
        &self,
        error: &TransactionError,
        with_topics: impl FnOnce() -> Permission,
    ) -> Option<Permission> {
        error.permission(&self.id, &self.cluster.config().group_id, with_topics)
    }

    /// Tells what is to be granted, if that is what failed.
    pub(super) fn note(&self, error: &TransactionError, with_topics: impl FnOnce() -> Permission) {
        if let Some(permission) = self.lacking(error, with_topics) {
            self.refusals.refused(permission, WAITS);
        }
    }
}

/// So many are committed at once at most …
const AT_ONCE: usize = 32;

/// … and no more are added once handling them has taken so long: who reads what is committed waits for it, and so does a
/// rebalance.
const LONGEST: Duration = Duration::from_millis(100);

/// In the order in which they were handled.
#[derive(Default)]
pub(super) struct Uncommitted {
    batches: Vec<Handled>,
    /// When the handling of the first one began.
    since: Option<Instant>,
}

impl Uncommitted {
    /// Adds one whose handling began then; answers whether all of them are to be committed now.
    #[must_use]
    pub(super) fn push(&mut self, batch: Handled, began: Instant) -> bool {
        let since = *self.since.get_or_insert(began);
        self.batches.push(batch);
        self.batches.len() >= AT_ONCE || since.elapsed() >= LONGEST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Handled> {
        std::mem::take(self).batches
    }
}
