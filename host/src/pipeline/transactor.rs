//! Exactly once: the effects of a batch and its offset in one transaction, again and again until it is committed, or
//! another member of the group has the partition. Who reads only what is committed sees each effect once.

use std::sync::Arc;

use super::{
    deliver::{AGAIN, Deliverer},
    effects::Effects,
    failure_point::{Point, reached},
    originals::Originals,
    outbox::Outbox,
    refused::WAITS,
    stop::{Stopped, Undone},
    tenure::{Tenure, Tenures},
    transactions::Transactions,
};
use crate::{
    causes::in_one_line,
    event::{Offset, Partition, ViewStart},
    kafka::{self, Consumer, TransactionError},
    refusals::Permission,
};

/// Commits the batches of one worker, one after the other.
pub(super) struct Transactor {
    pub transactions: Transactions,
}

/// The other parts that it needs.
pub(super) struct Group {
    pub consumer: Arc<Consumer>,
    pub tenures: Arc<Tenures>,
}

/// Where its partition stands once a batch is done.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub partition: Partition,
    pub tenure: Tenure,
    pub next: Offset,
    pub view: ViewStart,
}

/// What one try came to.
enum Tried {
    Committed,
    /// Records were not acknowledged: those that never will be are dead letters in the next try.
    Unacknowledged,
}

/// Why there was no end to a try.
enum Failure {
    Kafka(TransactionError),
    Undone(Undone),
}

impl Transactor {
    /// Brings about the effects, and commits them with where the partition stands then.
    pub(super) fn deliver(
        &mut self,
        group: &Group,
        deliverer: &Deliverer,
        originals: &Originals<'_>,
        effects: &mut Effects,
        progress: Progress,
    ) -> Result<(), Undone> {
        let mut outbox = Outbox::of(effects);
        for tries in 0.. {
            match self.attempt(group, deliverer, originals, effects, &mut outbox, progress) {
                Ok(Tried::Committed) => {
                    self.note_permitted(deliverer, effects, &outbox);
                    break;
                }
                Ok(Tried::Unacknowledged) => self.transactions.give_up(None)?,
                Err(Failure::Kafka(error)) => {
                    self.transactions.note(&error, || match outbox.is_done() {
                        // Its offset was refused.
                        true => Permission::Read(self.transactions.kafka.topic.clone()),
                        false => deliverer.permission(effects, &outbox),
                    });
                    self.transactions.give_up(Some(error))?;
                }
                Err(Failure::Undone(undone)) => {
                    self.transactions.give_up(None)?;
                    return Err(undone);
                }
            }
            if !group.tenures.stands(progress.partition, progress.tenure) {
                return Err(Undone::Revoked);
            }
            if self.is_committed(group, progress)? {
                break;
            }
            outbox.begin_anew();
            deliverer.pause(tries)?;
        }
        deliverer.count(effects, &outbox);
        Ok(())
    }

    fn attempt(
        &self,
        group: &Group,
        deliverer: &Deliverer,
        originals: &Originals<'_>,
        effects: &mut Effects,
        outbox: &mut Outbox,
        progress: Progress,
    ) -> Result<Tried, Failure> {
        let Progress {
            partition,
            tenure,
            next,
            view,
        } = progress;
        self.transactions.producer.begin()?;
        reached(Point::Begun);
        deliverer.produce(
            self.transactions.producer.producer(),
            originals,
            effects,
            outbox,
        )?;
        if !outbox.is_done() {
            let failure = self.transactions.producer.failure();
            let refused = failure.filter(|error| {
                self.transactions
                    .lacking(error, || Permission::Produce)
                    .is_some()
            });
            return refused.map_or(Ok(Tried::Unacknowledged), |error| Err(error.into()));
        }
        reached(Point::Acknowledged);
        // In this order: had the partition been taken away before, it would be seen now; if it is later, the
        // coordinator refuses who we were.
        let identity = group.consumer.identity();
        let (Some(identity), true) = (identity, group.tenures.stands(partition, tenure)) else {
            return Err(Failure::Undone(Undone::Revoked));
        };
        let positions = group.consumer.positions(partition, next, view);
        let positions = positions.map_err(TransactionError::Abort)?;
        let go_on = || self.transactions.stop.is_not_yet();
        self.transactions
            .producer
            .send_offsets(&identity, &positions, &go_on)?;
        reached(Point::OffsetSent);
        self.transactions.producer.commit(&go_on)?;
        reached(Point::Committed);
        Ok(Tried::Committed)
    }

    fn note_permitted(&self, deliverer: &Deliverer, effects: &Effects, outbox: &Outbox) {
        if self.transactions.refusals.are_there_any() {
            let kafka::Config {
                topic, group_id, ..
            } = &self.transactions.kafka;
            let refusals = &self.transactions.refusals;
            refusals.granted(&deliverer.permission(effects, outbox));
            refusals.granted(&Permission::Read(topic.clone()));
            refusals.granted(&Permission::Join(group_id.clone()));
        }
    }

    /// Whether a transaction whose end was not told was committed all the same.
    fn is_committed(&self, group: &Group, progress: Progress) -> Result<bool, Stopped> {
        loop {
            match group.consumer.committed(progress.partition) {
                Ok(committed) => return Ok(committed.is_some_and(|offset| offset >= progress.next)),
                Err(error) => {
                    let Transactions {
                        kafka, refusals, ..
                    } = &self.transactions;
                    if let Some(permission) = error.permission(&kafka.topic, &kafka.group_id) {
                        refusals.refused(permission, WAITS);
                    }
                    let error = in_one_line(&error);
                    tracing::warn!(error, "cannot find out whether a transaction was committed");
                    self.transactions.stop.pause(AGAIN)?;
                }
            }
        }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        Self::Kafka(error)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Undone(stopped.into())
    }
}
