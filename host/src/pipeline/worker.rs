//! A worker takes a batch through the handler chain, has its effects happen, and only then stores its offset. The batches of
//! a partition that a handler halted are kept until it may go on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{
    assignment::AssignmentState,
    batch::BatchJob,
    chain::HandlerChain,
    delivery::Deliverer,
    effects::Effects,
    exactly_once::{Transactor, Uncommitted},
    failpoint::{Failpoint, reached},
    shutdown::{ShuttingDown, Undone},
};
use crate::{
    event::{Batch, Offset, TopicPartition, ViewStart},
    kafka::{CommitPosition, Consumer, OrderedProducer},
    store::Store,
    telemetry::metrics::Metrics,
};

/// How soon a worker with a partition that is halted or stuck notices that it may go on, or has to be given up.
const HALT_CHECK: Duration = Duration::from_millis(100);

/// How often a worker tries again to deliver the batches that are stuck.
const STUCK_RETRY: Duration = Duration::from_secs(1);

#[allow(
    clippy::large_enum_variant,
    reason = "commands are queued one by one, and nearly all are of the large variant"
)]
pub(super) enum WorkerCommand {
    Handle(BatchJob),
    /// The partition was revoked: its halted batches and its view go.
    Revoke(TopicPartition),
    /// The partition is handled again from this offset on.
    Rewind(TopicPartition, Offset),
    /// The view of the partition is restored by replaying it from this offset on.
    Restore(Arc<AssignmentState>, Offset, ViewStart),
}

/// One worker, on its own thread.
pub(super) struct Worker {
    pub(super) chain: HandlerChain,
    pub(super) deliverer: Deliverer,
    pub(super) guarantee: DeliveryGuarantee,
    pub(super) store: Store,
    pub(super) consumer: Arc<Consumer>,
    pub(super) metrics: Metrics,
    /// Whether a batch was left undone. Nothing after it may be done, or its offset would be skipped.
    pub(super) stopped: bool,
    /// The batches of halted partitions, in their order: at most as many as pause a partition.
    pub(super) halted: BTreeMap<TopicPartition, VecDeque<BatchJob>>,
    /// The batches of partitions where the first one cannot be delivered, in their order: its topic is missing, or rejects a
    /// dead letter.
    pub(super) stuck: StuckBatches,
    /// Only with exactly once.
    pub(super) uncommitted: Uncommitted,
}

/// The batches of partitions whose first one cannot be delivered. There are at most as many as pause a partition.
#[derive(Default)]
pub(super) struct StuckBatches {
    partitions: BTreeMap<TopicPartition, VecDeque<BatchJob>>,
    tried: Option<Instant>,
}

/// A batch that is kept, by the reason.
enum KeptBatch {
    /// A handler halted its partition.
    Halted(BatchJob),
    /// It waits for a topic.
    Stuck(BatchJob),
}

/// How effects and offsets are committed.
pub(super) enum DeliveryGuarantee {
    /// The offset is committed after the effects are acknowledged.
    AtLeastOnce(OrderedProducer),
    /// The offset is committed in one transaction with the effects.
    ExactlyOnce(Box<Transactor>),
}

impl Worker {
    /// Prepares the worker, before anything is consumed.
    pub(super) fn init(&mut self) -> Result<(), ShuttingDown> {
        match &mut self.guarantee {
            DeliveryGuarantee::AtLeastOnce(_) => Ok(()),
            DeliveryGuarantee::ExactlyOnce(transactor) => transactor.init(),
        }
    }

    pub(super) fn run(mut self, commands: &mpsc::Receiver<WorkerCommand>) {
        loop {
            let patience = match () {
                () if !self.uncommitted.is_empty() => Duration::ZERO,
                () if !self.halted.is_empty() || !self.stuck.partitions.is_empty() => HALT_CHECK,
                () => Duration::MAX,
            };
            let command = commands.recv_timeout(patience);
            // A transaction is committed when there is nothing to add to it, and before anything but a batch is handled.
            if !matches!(command, Ok(WorkerCommand::Handle(_))) {
                self.commit();
            }
            match command {
                Ok(WorkerCommand::Handle(job)) => self.handle(job),
                Ok(WorkerCommand::Revoke(partition)) => self.revoke(&partition),
                Ok(WorkerCommand::Rewind(partition, to)) => self.rewind(&partition, to),
                Ok(WorkerCommand::Restore(state, from, view)) => {
                    self.store.restore(state.topic_partition(), view);
                    state.set_done(from);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.retry_halted();
            self.retry_stuck();
        }
    }

    /// Handles a batch. Its offset is stored if, and only if, everything of it is done. With exactly once that may be later,
    /// together with the batches that come next: see [`Worker::commit`].
    fn handle(&mut self, mut job: BatchJob) {
        // What this daemon is giving up is handled by its next owner.
        if self.stopped || !job.in_flight.may_begin() {
            return;
        }
        job.read();
        if let Some(halted) = self.halted.get_mut(job.topic_partition()) {
            halted.push_back(job);
        } else if let Some(stuck) = self.stuck.partitions.get_mut(job.topic_partition()) {
            stuck.push_back(job);
        } else if let Some(kept) = self.process(job) {
            self.keep(kept, VecDeque::new());
        }
    }

    /// Keeps a batch, and those behind it in its partition.
    fn keep(&mut self, kept: KeptBatch, mut behind: VecDeque<BatchJob>) {
        let (kept, job) = match kept {
            KeptBatch::Halted(job) => (&mut self.halted, job),
            KeptBatch::Stuck(job) => (&mut self.stuck.partitions, job),
        };
        let batches = kept.entry(job.topic_partition().clone()).or_default();
        batches.push_back(job);
        batches.append(&mut behind);
    }

    /// Lets go of a partition that was revoked.
    fn revoke(&mut self, partition: &TopicPartition) {
        self.store.remove(partition);
        self.stuck.partitions.remove(partition);
        self.drop_halted(partition);
        self.chain.forget(partition);
    }

    /// Handles a partition again from this offset on. Its view ends there until then.
    fn rewind(&mut self, partition: &TopicPartition, to: Offset) {
        self.stuck.partitions.remove(partition);
        self.drop_halted(partition);
        self.chain.forget(partition);
        self.store.rewind(partition, to);
    }

    /// Tries halted partitions again once the chain has changed, or a handler was resumed.
    fn retry_halted(&mut self) {
        if self.stopped || self.halted.is_empty() || !self.chain.has_changed() {
            return;
        }
        for jobs in std::mem::take(&mut self.halted).into_values() {
            self.end_halt(&jobs);
            self.process_all(jobs);
        }
    }

    /// Tries again from time to time to deliver the batches that are stuck. Those of partitions that are being given up go.
    fn retry_stuck(&mut self) {
        if self.stuck.partitions.is_empty() {
            return;
        }
        let is_kept =
            |jobs: &VecDeque<BatchJob>| jobs.front().is_some_and(|job| job.in_flight.may_begin());
        self.stuck
            .partitions
            .retain(|_, jobs| is_kept(jobs) && !self.stopped);
        let tried = *self.stuck.tried.get_or_insert_with(Instant::now);
        if tried.elapsed() < STUCK_RETRY {
            return;
        }
        for jobs in std::mem::take(&mut self.stuck.partitions).into_values() {
            self.process_all(jobs);
        }
        self.stuck.tried = (!self.stuck.partitions.is_empty()).then(Instant::now);
    }

    /// Processes batches of one partition, until one of them has to be kept.
    fn process_all(&mut self, mut jobs: VecDeque<BatchJob>) {
        while let Some(job) = jobs.pop_front() {
            if self.stopped || !job.in_flight.may_begin() {
                continue;
            }
            let partition = job.topic_partition().clone();
            let kept = self.process(job);
            self.commit();
            if let Some(kept) = kept {
                return self.keep(kept, jobs);
            }
            // The commit may have found that it cannot be delivered.
            if let Some(stuck) = self.stuck.partitions.get_mut(&partition) {
                stuck.append(&mut jobs);
            }
        }
    }

    /// Drops the halted batches of a partition: its next owner handles them, or they are consumed again.
    fn drop_halted(&mut self, partition: &TopicPartition) {
        if let Some(jobs) = self.halted.remove(partition) {
            self.end_halt(&jobs);
        }
    }

    fn end_halt(&self, jobs: &VecDeque<BatchJob>) {
        let by = jobs.front().and_then(|job| job.in_flight.end_halt());
        if let Some(by) = by
            && by.halted().all().is_empty()
        {
            self.metrics.handler(by.name()).set_state("running");
        }
    }

    /// Takes a batch through the chain, unless it has passed it, and has its effects happen. Returns the batch if a handler
    /// halted its partition, or if it cannot be delivered.
    fn process(&mut self, mut job: BatchJob) -> Option<KeptBatch> {
        let began = Instant::now();
        if !job.is_handled {
            match self.run_chain(&mut job) {
                Ok(()) => job.is_handled = true,
                Err(Undone::ShuttingDown) => {
                    self.stopped = true;
                    return None;
                }
                Err(Undone::Halted { by, reason }) => {
                    job.in_flight.halt(&by, reason);
                    return Some(KeptBatch::Halted(job));
                }
            }
        }
        if job.replayed {
            job.effects.keep_stored_only();
            show(&self.store, &job.batch, &job.effects);
            self.done(&job);
            return None;
        }
        reached(Failpoint::Handled);
        match &self.guarantee {
            DeliveryGuarantee::AtLeastOnce(producer) => {
                match self.deliverer.deliver(producer, &mut job) {
                    Ok(true) => {
                        self.show_and_locate(&mut job);
                        self.done(&job);
                    }
                    Ok(false) => return Some(KeptBatch::Stuck(job)),
                    Err(ShuttingDown) => self.stopped = true,
                }
            }
            DeliveryGuarantee::ExactlyOnce(_) => {
                // What is shown decides where the view begins, and that is committed with the offset. Whether or not the
                // transaction succeeds, nothing is shown twice: it is tried until it is committed, or the view is removed.
                if job.position.is_none() {
                    self.show_and_locate(&mut job);
                }
                if self.uncommitted.push(job, began) {
                    self.commit();
                }
            }
        }
        None
    }

    fn run_chain(&mut self, job: &mut BatchJob) -> Result<(), Undone> {
        job.effects = Effects::of_unreadable(&job.unreadable);
        if let (Some(reason), Some(&offset)) = (&job.lost, job.unreadable.offsets.first()) {
            job.effects.dead.push((offset, reason.clone()));
        }
        let mut batch = Arc::clone(&job.batch);
        for step in self.chain.steps()? {
            if batch.is_empty() {
                break;
            }
            batch = step.pass(batch, &mut job.effects)?;
        }
        if self.deliverer.output.is_some() {
            job.effects.left = Some(batch);
        }
        Ok(())
    }

    /// Puts what the handlers stored into the store, and takes note of the position that this leads to.
    fn show_and_locate(&self, job: &mut BatchJob) {
        show(&self.store, &job.batch, &job.effects);
        reached(Failpoint::Shown);
        let topic_partition = job.topic_partition().clone();
        job.position = Some(CommitPosition {
            view: self.store.view_start(&topic_partition, job.next),
            next: job.next,
            topic_partition,
        });
    }

    /// Commits what was handled, and waits for it.
    fn commit(&mut self) {
        let DeliveryGuarantee::ExactlyOnce(transactor) = &mut self.guarantee else {
            return;
        };
        let mut jobs = self.uncommitted.take();
        if jobs.is_empty() {
            return;
        }
        match transactor.deliver(&self.consumer, &self.deliverer, &mut jobs) {
            Ok(stuck) => {
                for job in &jobs {
                    job.in_flight.set_committed(job.next);
                    self.done(job);
                }
                for job in stuck {
                    self.keep(KeptBatch::Stuck(job), VecDeque::new());
                }
            }
            Err(ShuttingDown) => self.stopped = true,
        }
    }

    /// Every effect of a batch has happened.
    fn done(&self, job: &BatchJob) {
        if let Some(position) = &job.position {
            let partition = job.topic_partition().partition;
            self.metrics.consumed(partition, job.records);
            job.in_flight
                .commit(|| self.consumer.store_offset(position));
            reached(Failpoint::OffsetStored);
        }
        job.in_flight.set_done(job.next);
    }
}

/// Puts what handlers stored of a batch into the store.
fn show(store: &Store, batch: &Batch, effects: &Effects) {
    // The batch itself comes first, so that the store learns where it begins even if nothing of it is stored.
    let whole = (!batch.is_empty()).then_some((batch, &[][..]));
    let pieces = effects.stored.iter();
    let pieces = pieces.map(|(batch, records)| (&**batch, &records[..]));
    let stored: Vec<_> = whole.into_iter().chain(pieces).collect();
    store.append(&stored);
}
