//! A worker takes a batch through the handler chain, has its effects happen, and only then stores its offset. The batches of
//! a partition that cannot go on are kept until it can, and the worker goes on with its other partitions.

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
    exactly_once::Transactor,
    failpoint::{Failpoint, reached},
    handled_batches::HandledBatches,
    passage::{ChainProgress, Turn},
    shutdown::{ShuttingDown, Undone},
};
use crate::{
    event::{Batch, Offset, TopicPartition, ViewStart},
    kafka::{CommitPosition, Consumer, OrderedProducer},
    store::Store,
    telemetry::metrics::Metrics,
};

/// How soon a worker with a partition that cannot go on notices that it may go on, or has to be given up.
const HALT_CHECK: Duration = Duration::from_millis(100);

/// How often a worker tries again to deliver the batches that are stuck.
const STUCK_RETRY: Duration = Duration::from_secs(1);

/// A worker takes at most this many commands before batches that were kept get a turn.
const COMMANDS_PER_TURN: usize = 64;

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
    /// The batches of partitions that cannot go on now, in their order: at most as many as pause a partition.
    pub(super) kept: BTreeMap<TopicPartition, KeptBatches>,
    /// What is delivered next.
    pub(super) handled: HandledBatches,
}

/// The batches of a partition of which the first one cannot go on now.
pub(super) struct KeptBatches {
    until: KeptUntil,
    jobs: VecDeque<BatchJob>,
}

/// A batch that cannot go on now.
struct KeptBatch {
    until: KeptUntil,
    job: BatchJob,
}

/// What a batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptUntil {
    /// A handler halted its partition: until the chain changes, or a handler is resumed.
    ChainChanges,
    /// Until this time: a record is retried then, or its topic may accept it, or it is its turn again.
    Time(Instant),
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
            match commands.recv_timeout(self.patience()) {
                Ok(command) => self.take(command),
                Err(mpsc::RecvTimeoutError::Timeout) => self.deliver(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.deliver(),
            }
            if self.kept.is_empty() {
                continue;
            }
            // Batches that go on again may take long, so others come first, but not for ever.
            for _ in 0..COMMANDS_PER_TURN {
                let Ok(command) = commands.try_recv() else {
                    break;
                };
                self.take(command);
            }
            self.continue_kept();
        }
    }

    /// How long the worker may wait for a command.
    fn patience(&self) -> Duration {
        if !self.handled.is_empty() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let waits = self.kept.values().map(|kept| match kept.until {
            KeptUntil::ChainChanges => HALT_CHECK,
            KeptUntil::Time(time) => time.saturating_duration_since(now).min(HALT_CHECK),
        });
        waits.min().unwrap_or(Duration::MAX)
    }

    fn take(&mut self, command: WorkerCommand) {
        // Batches are delivered when there are no others to deliver with them, and before anything but a batch is handled.
        if !matches!(command, WorkerCommand::Handle(_)) {
            self.deliver();
        }
        match command {
            WorkerCommand::Handle(job) => self.handle(job),
            WorkerCommand::Revoke(partition) => self.revoke(&partition),
            WorkerCommand::Rewind(partition, to) => self.rewind(&partition, to),
            WorkerCommand::Restore(state, from, view) => {
                self.store.restore(state.topic_partition(), view);
                state.set_done(from);
            }
        }
    }

    /// Handles a batch. Its offset is stored if, and only if, everything of it is done. That may be later, together with the
    /// batches that come next: see [`Worker::deliver`].
    fn handle(&mut self, mut job: BatchJob) {
        // What this daemon is giving up is handled by its next owner.
        if self.stopped || !job.in_flight.may_begin() {
            return;
        }
        job.read();
        if let Some(kept) = self.kept.get_mut(job.topic_partition()) {
            return kept.jobs.push_back(job);
        }
        self.process_all(VecDeque::from([job]), false);
    }

    /// Keeps a batch, and those behind it in its partition.
    fn keep(&mut self, kept: KeptBatch, mut behind: VecDeque<BatchJob>) {
        let KeptBatch { until, job } = kept;
        let partition = job.topic_partition().clone();
        behind.push_front(job);
        match self.kept.get_mut(&partition) {
            // Another batch of the partition is kept already, and comes first.
            Some(kept) => kept.jobs.append(&mut behind),
            None => {
                let jobs = behind;
                self.kept.insert(partition, KeptBatches { until, jobs });
            }
        }
    }

    /// Lets go of a partition that was revoked.
    fn revoke(&mut self, partition: &TopicPartition) {
        self.store.remove(partition);
        self.drop_kept(partition);
        self.chain.forget(partition);
    }

    /// Handles a partition again from this offset on. Its view ends there until then.
    fn rewind(&mut self, partition: &TopicPartition, to: Offset) {
        self.drop_kept(partition);
        self.chain.forget(partition);
        self.store.rewind(partition, to);
    }

    /// Goes on with the partition whose batches have waited for longest, if their time has come. The batches of partitions that
    /// are being given up are dropped.
    fn continue_kept(&mut self) {
        let may_begin = |kept: &KeptBatches| {
            let first = kept.jobs.front();
            first.is_some_and(|job| job.in_flight.may_begin())
        };
        let is_stopped = self.stopped;
        // A drain does not wait for a halted partition, whose batches go when it is revoked.
        self.kept.retain(|_, kept| {
            kept.until == KeptUntil::ChainChanges || (may_begin(kept) && !is_stopped)
        });
        if is_stopped {
            return;
        }
        let now = Instant::now();
        if self.chain.has_changed() {
            for kept in self.kept.values_mut() {
                if kept.until == KeptUntil::ChainChanges {
                    kept.until = KeptUntil::Time(now);
                    end_halt(&self.metrics, &kept.jobs);
                }
            }
        }
        let due = self
            .kept
            .iter()
            .filter_map(|(partition, kept)| match kept.until {
                KeptUntil::Time(time) if time <= now => Some((time, partition)),
                _ => None,
            });
        let Some((_, partition)) = due.min() else {
            return;
        };
        let partition = partition.clone();
        if let Some(kept) = self.kept.remove(&partition) {
            self.process_all(kept.jobs, true);
        }
    }

    /// Processes batches of one partition, until one of them has to be kept. `alone` says whether to deliver each of them by
    /// itself, and not together with others.
    fn process_all(&mut self, mut jobs: VecDeque<BatchJob>, alone: bool) {
        while let Some(job) = jobs.pop_front() {
            if self.stopped || !job.in_flight.may_begin() {
                continue;
            }
            let partition = job.topic_partition().clone();
            let kept = self.process(job, &mut jobs);
            if alone || kept.is_some() {
                // Batches before this one come first, if it turns out that they cannot be delivered.
                self.deliver();
            }
            if let Some(kept) = kept {
                return self.keep(kept, jobs);
            }
            if let Some(kept) = self.kept.get_mut(&partition) {
                kept.jobs.append(&mut jobs);
            }
        }
    }

    /// Drops the kept batches of a partition: its next owner handles them, or they are consumed again.
    fn drop_kept(&mut self, partition: &TopicPartition) {
        if let Some(kept) = self.kept.remove(partition) {
            end_halt(&self.metrics, &kept.jobs);
        }
    }

    /// Takes a batch through the chain, unless it has passed it, and has its effects happen. Returns the batch if it cannot go
    /// on now. What was split off of it is put in front of `behind`.
    fn process(&mut self, mut job: BatchJob, behind: &mut VecDeque<BatchJob>) -> Option<KeptBatch> {
        let began = Instant::now();
        if !job.is_handled {
            match self.run_chain(&mut job, began) {
                Ok(()) => job.is_handled = true,
                Err(Undone::GivenUp) => return None,
                Err(Undone::Parked(time)) => {
                    let until = KeptUntil::Time(time);
                    return Some(KeptBatch { until, job });
                }
                Err(Undone::Halted { by, reason }) => {
                    job.progress = None;
                    job.in_flight.halt(&by, reason);
                    let until = KeptUntil::ChainChanges;
                    return Some(KeptBatch { until, job });
                }
            }
            let progress = job.progress.take();
            if let Some(at) = job.effects.cut {
                let piece = progress.map_or(usize::MAX, |progress| progress.next_piece);
                behind.push_front(job.split_off(at, piece));
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
            DeliveryGuarantee::AtLeastOnce(_)
                if self.handled.is_empty() && job.effects.produce_nothing() =>
            {
                self.deliverer.count(&job);
                self.show_and_locate(&mut job);
                self.done(&job);
                return None;
            }
            DeliveryGuarantee::AtLeastOnce(_) => {}
            DeliveryGuarantee::ExactlyOnce(_) => {
                // What is shown decides where the view begins, and that is committed with the offset. Whether or not the
                // transaction succeeds, nothing is shown twice: it is tried until it is committed, or the view is removed.
                if job.position.is_none() {
                    self.show_and_locate(&mut job);
                }
            }
        }
        if self.handled.push(job, began) {
            self.deliver();
        }
        None
    }

    fn run_chain(&mut self, job: &mut BatchJob, began: Instant) -> Result<(), Undone> {
        let version = self.chain.begin()?;
        let first = job.first_offset();
        let progress = match &mut job.progress {
            Some(progress) if progress.version == version => progress,
            progress => {
                job.effects = Effects::of_unreadable(&job.unreadable);
                if let (Some(reason), Some(&offset)) = (&job.lost, job.unreadable.offsets.first()) {
                    job.effects.dead.push((offset, reason.clone()));
                }
                let batch = Arc::clone(&job.batch);
                progress.insert(ChainProgress::new(version, batch, first, job.piece))
            }
        };
        let turn = Turn::new(began, &job.in_flight);
        self.chain.run(progress, &mut job.effects, &turn)?;
        if self.deliverer.output.is_some() {
            job.effects.left = Some(Arc::clone(&progress.batch));
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

    /// Delivers what was handled, waits for the broker, and commits it.
    fn deliver(&mut self) {
        let mut jobs = self.handled.take();
        if jobs.is_empty() {
            return;
        }
        let stuck = match &mut self.guarantee {
            DeliveryGuarantee::AtLeastOnce(producer) => self.deliverer.deliver(producer, &mut jobs),
            DeliveryGuarantee::ExactlyOnce(transactor) => {
                transactor.deliver(&self.consumer, &self.deliverer, &mut jobs)
            }
        };
        let Ok(stuck) = stuck else {
            self.stopped = true;
            return;
        };
        for job in &mut jobs {
            match self.guarantee {
                DeliveryGuarantee::AtLeastOnce(_) => self.show_and_locate(job),
                DeliveryGuarantee::ExactlyOnce(_) => job.in_flight.set_committed(job.next),
            }
            self.done(job);
        }
        for job in stuck {
            self.keep(self::stuck(job), VecDeque::new());
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

/// Keeps a batch that waits for a topic.
fn stuck(job: BatchJob) -> KeptBatch {
    let until = KeptUntil::Time(Instant::now() + STUCK_RETRY);
    KeptBatch { until, job }
}

/// Ends the halt of a partition with these batches, if a handler halted it.
fn end_halt(metrics: &Metrics, jobs: &VecDeque<BatchJob>) {
    let by = jobs.front().and_then(|job| job.in_flight.end_halt());
    if let Some(by) = by
        && by.halted().all().is_empty()
    {
        metrics.handler(by.name()).set_state("running");
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
