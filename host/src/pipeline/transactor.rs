//! Exactly once: the effects of some batches and their offsets in one transaction, again and again until it is committed,
//! or other members of the group have the partitions. Who reads only what is committed sees each effect once.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    deliver::{AGAIN, Deliverer},
    failure_point::{Point, reached},
    refused::WAITS,
    stop::Stopped,
    tenure::Tenures,
    transactions::Transactions,
    work::Handled,
};
use crate::{
    kafka::{Consumer, Permission, TransactionError},
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
