//! A committer finishes the batches that its worker has handled: it delivers their effects, shows what they store, and commits
//! their offsets, while the worker handles the next ones.

use std::sync::Arc;

use super::{
    batch::BatchJob,
    delivery::Deliverer,
    effects::Effects,
    exactly_once::Transactor,
    failpoint::{Failpoint, reached},
    handled_batches::{CommitQueue, MAX_BATCHES},
    shutdown::ShuttingDown,
};
use crate::{
    event::Batch,
    kafka::{CommitPosition, Consumer, OrderedProducer},
    store::Store,
    telemetry::metrics::Metrics,
};

/// Finishes the batches of one worker, on a thread of its own.
pub(super) struct Committer {
    pub(super) deliverer: Deliverer,
    pub(super) guarantee: DeliveryGuarantee,
    pub(super) commits: Commits,
}

/// How effects and offsets are committed.
pub(super) enum DeliveryGuarantee {
    /// The offset is committed after the effects are acknowledged.
    AtLeastOnce(OrderedProducer),
    /// The offset is committed in one transaction with the effects.
    ExactlyOnce(Transactor),
}

impl Committer {
    /// Prepares the committer, before anything is consumed.
    pub(super) fn init(&mut self) -> Result<(), ShuttingDown> {
        match &mut self.guarantee {
            DeliveryGuarantee::AtLeastOnce(_) => Ok(()),
            DeliveryGuarantee::ExactlyOnce(transactor) => transactor.init(),
        }
    }

    /// Commits batches until the worker has ended, or a batch is left undone: nothing after it may be done, or its offset
    /// would be skipped.
    pub(super) fn run(mut self, queue: &CommitQueue) {
        while let Some(jobs) = queue.next(self.max_batches()) {
            match self.commit(jobs) {
                Ok(stuck) => queue.finish(stuck),
                Err(ShuttingDown) => return,
            }
        }
    }

    fn max_batches(&self) -> usize {
        match &self.guarantee {
            DeliveryGuarantee::AtLeastOnce(_) => MAX_BATCHES,
            DeliveryGuarantee::ExactlyOnce(transactor) => transactor.max_batches(),
        }
    }

    /// Commits batches. Returns those that wait for a topic, and those behind them in their partitions.
    fn commit(&mut self, mut jobs: Vec<BatchJob>) -> Result<Vec<BatchJob>, ShuttingDown> {
        let stuck = match &mut self.guarantee {
            DeliveryGuarantee::AtLeastOnce(producer) => {
                let stuck = self.deliverer.deliver(producer, &mut jobs)?;
                jobs.iter_mut().for_each(|job| self.commits.show(job));
                stuck
            }
            DeliveryGuarantee::ExactlyOnce(transactor) => {
                // What is shown decides where the view begins, and that is committed with the offset. Whether or not the
                // transaction succeeds, nothing is shown twice: it is tried until it is committed, or the view is removed.
                for job in jobs.iter_mut().filter(|job| job.position.is_none()) {
                    self.commits.show(job);
                }
                let consumer = &self.commits.consumer;
                let stuck = transactor.deliver(consumer, &self.deliverer, &mut jobs)?;
                for job in &jobs {
                    job.in_flight.set_committed(job.next);
                }
                stuck
            }
        };
        for job in &jobs {
            self.deliverer.count(job);
            self.commits.finish(job);
        }
        Ok(stuck)
    }
}

/// Where it is shown what handlers store, and where offsets are stored.
#[derive(Clone)]
pub(super) struct Commits {
    pub(super) store: Store,
    pub(super) consumer: Arc<Consumer>,
    pub(super) metrics: Metrics,
}

impl Commits {
    /// Puts what the handlers stored into the store, and takes note of the position that this leads to.
    pub(super) fn show(&self, job: &mut BatchJob) {
        self.append(&job.batch, &job.effects);
        reached(Failpoint::Shown);
        let topic_partition = job.topic_partition().clone();
        job.position = Some(CommitPosition {
            view: self.store.view_start(&topic_partition, job.next),
            next: job.next,
            topic_partition,
        });
    }

    /// Puts what the handlers stored of a replayed batch into the store. It has no other effects.
    pub(super) fn restore(&self, job: &mut BatchJob) {
        job.effects.keep_stored_only();
        self.append(&job.batch, &job.effects);
        job.in_flight.set_done(job.next);
    }

    /// Stores the offset of a batch whose effects have all happened.
    pub(super) fn finish(&self, job: &BatchJob) {
        if let Some(position) = &job.position {
            let partition = job.topic_partition().partition;
            self.metrics.consumed(partition, job.records);
            job.in_flight
                .commit(|| self.consumer.store_offset(position));
            reached(Failpoint::OffsetStored);
        }
        job.in_flight.set_done(job.next);
    }

    fn append(&self, batch: &Batch, effects: &Effects) {
        // The batch itself comes first, so that the store learns where it begins even if nothing of it is stored.
        let whole = (!batch.is_empty()).then_some((batch, &[][..]));
        let pieces = effects.stored.iter();
        let pieces = pieces.map(|(batch, records)| (&**batch, &records[..]));
        let stored: Vec<_> = whole.into_iter().chain(pieces).collect();
        self.store.append(&stored);
    }
}
