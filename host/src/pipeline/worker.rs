//! A worker takes batches through the handler chain, and hands them to its committer. The batches of a partition that cannot go on
//! are kept until it can, and the worker goes on with its other partitions.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{
    assignment::AssignmentState,
    batch::BatchJob,
    chain::HandlerChain,
    committer::Commits,
    effects::Effects,
    failpoint::{Failpoint, reached},
    handled_batches::HandledBatches,
    passage::{ChainProgress, Turn},
    shutdown::Undone,
};
use crate::{
    event::{Offset, TopicPartition, ViewStart},
    telemetry::metrics::Metrics,
};

/// How soon a worker with a partition that cannot go on notices that it may go on, or has to be given up.
const HALT_CHECK: Duration = Duration::from_millis(100);

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
    /// Where the batches go that the chain has handled.
    pub(super) handled: HandledBatches,
    pub(super) commits: Commits,
    /// Whether a batch that produces nothing needs no committer: its offset is committed outside of transactions.
    pub(super) finishes_alone: bool,
    /// Whether the records that leave the chain are produced to an output topic.
    pub(super) has_output: bool,
    /// Whether a batch was left undone. Nothing after it may be done, or its offset would be skipped.
    pub(super) stopped: bool,
    /// The batches of partitions that cannot go on now, in their order: at most as many as pause a partition.
    pub(super) kept: BTreeMap<TopicPartition, KeptBatches>,
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
    /// Until this time: a record is retried then, or it is its turn again.
    Time(Instant),
}

impl Worker {
    pub(super) fn run(mut self, commands: &mpsc::Receiver<WorkerCommand>) {
        loop {
            match commands.recv_timeout(self.patience()) {
                Ok(command) => self.take(command),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
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
        let now = Instant::now();
        let waits = self.kept.values().map(|kept| match kept.until {
            KeptUntil::ChainChanges => HALT_CHECK,
            KeptUntil::Time(time) => time.saturating_duration_since(now).min(HALT_CHECK),
        });
        waits.min().unwrap_or(Duration::MAX)
    }

    fn take(&mut self, command: WorkerCommand) {
        // What changes the view of a partition comes after the batches before it.
        if !matches!(command, WorkerCommand::Handle(_)) && !self.stopped {
            self.stopped = self.handled.wait_until_committed().is_err();
        }
        match command {
            WorkerCommand::Handle(job) => self.handle(job),
            WorkerCommand::Revoke(partition) => self.revoke(&partition),
            WorkerCommand::Rewind(partition, to) => self.rewind(&partition, to),
            WorkerCommand::Restore(state, from, view) => {
                self.commits.store.restore(state.topic_partition(), view);
                state.set_done(from);
            }
        }
    }

    /// Handles a batch. Its committer stores its offset if, and only if, everything of it is done.
    fn handle(&mut self, mut job: BatchJob) {
        // What this daemon is giving up is handled by its next owner.
        if self.stopped || !job.in_flight.may_begin() {
            return;
        }
        job.read();
        if let Some(kept) = self.kept.get_mut(job.topic_partition()) {
            return kept.jobs.push_back(job);
        }
        self.process_all(VecDeque::from([job]));
    }

    /// Keeps a batch, and those behind it in its partition.
    fn keep(&mut self, kept: KeptBatch, mut behind: VecDeque<BatchJob>) {
        let KeptBatch { until, job } = kept;
        let partition = job.topic_partition().clone();
        behind.push_front(job);
        let jobs = behind;
        self.kept.insert(partition, KeptBatches { until, jobs });
    }

    /// Lets go of a partition that was revoked.
    fn revoke(&mut self, partition: &TopicPartition) {
        self.commits.store.remove(partition);
        self.drop_kept(partition);
        self.chain.forget(partition);
    }

    /// Handles a partition again from this offset on. Its view ends there until then.
    fn rewind(&mut self, partition: &TopicPartition, to: Offset) {
        self.drop_kept(partition);
        self.chain.forget(partition);
        self.commits.store.rewind(partition, to);
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
                    end_halt(&self.commits.metrics, &kept.jobs);
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
            self.process_all(kept.jobs);
        }
    }

    /// Processes batches of one partition, until one of them has to be kept.
    fn process_all(&mut self, mut jobs: VecDeque<BatchJob>) {
        while let Some(job) = jobs.pop_front() {
            if self.stopped || !job.in_flight.may_begin() {
                continue;
            }
            if let Some(kept) = self.process(job, &mut jobs) {
                return self.keep(kept, jobs);
            }
        }
    }

    /// Drops the batches of a partition that cannot go on: its next owner handles them, or they are consumed again.
    fn drop_kept(&mut self, partition: &TopicPartition) {
        self.handled.drop_stuck(partition);
        if let Some(kept) = self.kept.remove(partition) {
            end_halt(&self.commits.metrics, &kept.jobs);
        }
    }

    /// Takes a batch through the chain and hands it on. Returns the batch if it cannot go on now. What was split off of it is put in
    /// front of `behind`.
    fn process(&mut self, mut job: BatchJob, behind: &mut VecDeque<BatchJob>) -> Option<KeptBatch> {
        let began = Instant::now();
        match self.run_chain(&mut job, began) {
            Ok(()) => {}
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
        if job.replayed {
            self.commits.restore(&mut job);
            return None;
        }
        reached(Failpoint::Handled);
        if self.finishes_alone && job.effects.produce_nothing() && self.handled.is_empty() {
            self.commits.show(&mut job);
            self.commits.finish(&job);
            return None;
        }
        self.stopped = self.handled.push(job).is_err();
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
        if self.has_output {
            job.effects.left = Some(Arc::clone(&progress.batch));
        }
        Ok(())
    }
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
