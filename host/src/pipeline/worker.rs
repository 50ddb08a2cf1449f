//! The threads that run handlers: one a core, each with instances of its own. A partition always goes to the same
//! one, which keeps its order. A worker takes a batch through the chain of handlers, brings about its effects, and only then
//! stores its offset. What a handler has stopped it holds, until that may go on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    assignment::{Flight, Parcel},
    batch::Work,
    chain::Links,
    delivery::{Deliverer, Handled, Outbox},
    effects::Effects,
    exactly_once::{Group, Transactor, Uncommitted},
    failpoint::{Point, reached},
    restore::Restore,
    shutdown::{Halt, Stopped, Undone},
};
use crate::{
    event::{Batch, Offset, Partition},
    kafka::{Position, Producer},
    plugin::Handler,
    store::Store,
    telemetry::metrics::Metrics,
};

pub(super) struct Workers(Vec<Desk>);

/// One worker, seen from outside.
struct Desk {
    /// Not bounded by itself: the intake pauses a partition that has too much under way.
    jobs: mpsc::Sender<Job>,
    thread: thread::JoinHandle<()>,
}

// Queued one by one, and nearly always the large one.
#[allow(clippy::large_enum_variant)]
enum Job {
    Handle(Parcel),
    /// This partition is another member's now, with what is held and shown of it.
    Revoke(Partition),
    /// This partition is handled again from this offset on.
    Rewind(Partition, Offset),
    /// The view of a partition is to be rebuilt from here on.
    Restore(Arc<Restore>),
}

/// How soon a worker that holds a stopped partition sees that it may go on.
const LOOK: Duration = Duration::from_millis(100);

impl Workers {
    pub(super) fn start(workers: Vec<Worker>) -> Self {
        let desk = |(number, worker): (usize, Worker)| {
            let (jobs, queue) = mpsc::channel();
            let work = move || work(worker, &queue);
            let named = thread::Builder::new().name(format!("worker-{number}"));
            let thread = named.spawn(work).expect("a thread can be started at start");
            Desk { jobs, thread }
        };
        Self(workers.into_iter().enumerate().map(desk).collect())
    }

    /// Answers whether the worker took it: one that has panicked does not, and joining says why.
    #[must_use]
    pub(super) fn send(&self, parcel: Parcel) -> bool {
        self.give(parcel.batch.partition, Job::Handle(parcel))
    }

    /// Lets go of a partition, after what is still under way of it. A worker that has panicked holds nothing.
    pub(super) fn revoke(&self, partition: Partition) {
        self.give(partition, Job::Revoke(partition));
    }

    /// Begins to rebuild the view of a partition, after what is still under way of it.
    pub(super) fn restore(&self, restore: Arc<Restore>) {
        self.give(restore.partition, Job::Restore(restore));
    }

    fn give(&self, partition: Partition, job: Job) -> bool {
        let desk = &self.0[index(partition, self.0.len())];
        desk.jobs.send(job).is_ok()
    }

    /// Takes back what was shown of a partition from this offset on, and lets go of what is held of it.
    pub(super) fn rewind(&self, partition: Partition, to: Offset) {
        self.give(partition, Job::Rewind(partition, to));
    }

    /// Lets every worker finish what it has.
    pub(super) fn join(self) {
        for Desk { jobs, thread } in self.0 {
            drop(jobs);
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn work(mut worker: Worker, queue: &mpsc::Receiver<Job>) {
    loop {
        let patience = match () {
            () if worker.has_uncommitted() => Duration::ZERO,
            () if worker.holds_any() => LOOK,
            () => Duration::MAX,
        };
        let job = queue.recv_timeout(patience);
        if !matches!(job, Ok(Job::Handle(_))) {
            worker.commit();
        }
        match job {
            Ok(Job::Handle(parcel)) => worker.handle(parcel),
            Ok(Job::Revoke(partition)) => worker.revoke(partition),
            Ok(Job::Rewind(partition, to)) => worker.rewind(partition, to),
            Ok(Job::Restore(restore)) => worker.restore(&restore),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        worker.try_held_again();
    }
}

fn index(partition: Partition, workers: usize) -> usize {
    partition.0.unsigned_abs() as usize % workers
}

pub(super) struct Worker {
    pub chain: Links,
    pub deliverer: Deliverer,
    pub way: Way,
    pub store: Store,
    pub group: Group,
    pub flight: Arc<Flight>,
    pub metrics: Metrics,
    /// A batch was left undone: nothing after it may be done, or its offset would be skipped.
    pub stopped: bool,
    pub held: BTreeMap<Partition, Held>,
    /// Only with exactly once.
    pub uncommitted: Uncommitted,
}

/// How effects are brought about.
pub(super) enum Way {
    /// The offset is committed once they are acknowledged.
    AtLeastOnce(Producer),
    /// It is committed with them.
    ExactlyOnce(Box<Transactor>),
}

impl Worker {
    /// Before anything is consumed.
    pub(super) fn init(&mut self) -> Result<(), Stopped> {
        match &mut self.way {
            Way::AtLeastOnce(_) => Ok(()),
            Way::ExactlyOnce(transactor) => transactor.transactions.init(),
        }
    }

    /// Handles a batch; its offset is stored if, and only if, everything of it is done. With exactly once that may be
    /// later, with what comes next: see [`Worker::commit`].
    pub(super) fn handle(&mut self, parcel: Parcel) {
        let partition = parcel.batch.partition;
        // What is no longer ours, or not for long, its new owner handles.
        let is_ours = self.group.tenures.stands(partition, parcel.tenure);
        if self.stopped || !is_ours || self.flight.is_leaving(partition) {
            return self.flight.land(partition);
        }
        let work = Work::from(parcel);
        match self.held.get_mut(&work.partition) {
            Some(held) => held.batches.push_back(work),
            None => self.try_in_order([work].into()),
        }
    }

    /// Whether something waits for [`Worker::commit`].
    pub(super) fn has_uncommitted(&self) -> bool {
        !self.uncommitted.is_empty()
    }

    /// Commits what was handled and waits for it. To be called when there is nothing to add for now, and before anything
    /// else is done than to handle batches.
    pub(super) fn commit(&mut self) {
        let Way::ExactlyOnce(transactor) = &mut self.way else {
            return;
        };
        let mut batches = self.uncommitted.take();
        if batches.is_empty() {
            return;
        }
        let partitions: Vec<_> = batches.iter().map(|one| one.work.partition).collect();
        match transactor.deliver(&self.group, &self.deliverer, &mut batches) {
            Ok(()) => batches
                .iter()
                .for_each(|batch| self.done(&batch.work, batch.position)),
            Err(Stopped) => self.stopped = true,
        }
        partitions.iter().for_each(|one| self.flight.land(*one));
    }

    /// Rebuilds the view of a partition from what comes next.
    pub(super) fn restore(&mut self, restore: &Restore) {
        self.store.restore(restore.partition, restore.view_start());
        restore.begin();
    }

    /// Another member has the partition now: it handles again what is held of it, and shows what was shown of it.
    pub(super) fn revoke(&mut self, partition: Partition) {
        self.store.remove(partition);
        self.drop_held(partition);
    }

    /// The partition is handled again from this offset on: the view ends there until then.
    pub(super) fn rewind(&mut self, partition: Partition, to: Offset) {
        self.drop_held(partition);
        self.store.rewind(partition, to);
    }

    /// Those of one partition, up to the first that stops it: that one is held, with those after it.
    pub(super) fn try_in_order(&mut self, mut batches: VecDeque<Work>) {
        while let Some(work) = batches.pop_front() {
            let partition = work.partition;
            if self.stopped {
                self.flight.land(partition);
                continue;
            }
            let began = Instant::now();
            match self.process(&work) {
                Ok(None) => self.done(&work, self.position(&work)),
                Ok(Some(effects)) => {
                    self.commit_soon(work, effects, began);
                    continue;
                }
                Err(Undone::Stopped) => self.stopped = true,
                Err(Undone::Halted(Halt { by })) => {
                    batches.push_front(work);
                    self.flight.hold(partition, true);
                    self.held.insert(partition, Held { by, batches });
                    return;
                }
            }
            self.flight.land(partition);
        }
    }

    fn commit_soon(&mut self, work: Work, effects: Effects, began: Instant) {
        let batch = Handled {
            position: self.position(&work),
            outbox: Outbox::of(&effects),
            work,
            effects,
        };
        if self.uncommitted.push(batch, began) {
            self.commit();
        }
    }

    fn position(&self, work: &Work) -> Position {
        let &Work {
            partition, next, ..
        } = work;
        let view = self.store.view_start(partition, next);
        Position {
            partition,
            next,
            view,
        }
    }

    /// Every effect of a batch is done.
    fn done(&self, work: &Work, position: Position) {
        if !work.replayed {
            self.metrics.consumed(work.partition, work.records);
            self.group.consumer.store_offset(position);
            reached(Point::OffsetStored);
        }
        if let Some(restore) = &work.restore {
            restore.advance(work.next);
        }
    }

    /// Takes a batch through the chain, and brings about its effects; answers those that are to be committed with its offset.
    fn process(&mut self, work: &Work) -> Result<Option<Effects>, Undone> {
        let mut effects = Effects::of_unreadable(&work.unreadable);
        self.run_chain(Arc::clone(&work.batch), &mut effects)?;
        if work.replayed {
            effects.keep_stored_only();
            show(&self.store, &work.batch, &effects);
            return Ok(None);
        }
        reached(Point::Handled);
        match &self.way {
            Way::AtLeastOnce(producer) => {
                let originals = work.originals();
                self.deliverer.deliver(producer, &originals, &mut effects)?;
                show(&self.store, &work.batch, &effects);
                reached(Point::Shown);
                Ok(None)
            }
            Way::ExactlyOnce(_) => {
                // What is shown decides where the view begins, and that is committed along. Whatever becomes of the
                // transaction, it is not shown twice: it is tried until it is committed, or the view is given up.
                show(&self.store, &work.batch, &effects);
                reached(Point::Shown);
                Ok(Some(effects))
            }
        }
    }

    fn run_chain(&mut self, mut batch: Arc<Batch>, effects: &mut Effects) -> Result<(), Undone> {
        for link in self.chain.current()? {
            if batch.is_empty() {
                break;
            }
            batch = link.pass(batch, effects)?;
        }
        if self.deliverer.output.is_some() {
            effects.left = Some(batch);
        }
        Ok(())
    }
}

/// Stores what handlers stored of a batch.
fn show(store: &Store, batch: &Batch, effects: &Effects) {
    // The batch itself goes first, so that the store sees where this begins even if nothing of it is stored.
    let whole = (!batch.is_empty()).then_some((batch, &[][..]));
    let pieces = effects.stored.iter();
    let pieces = pieces.map(|(batch, records)| (&**batch, &records[..]));
    let stored: Vec<_> = whole.into_iter().chain(pieces).collect();
    store.append(&stored);
}

/// The batches of a partition that has stopped, in their order: at most as many as pause it.
pub(super) struct Held {
    pub by: Arc<Handler>,
    pub batches: VecDeque<Work>,
}

impl Worker {
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Once the chain has changed, or somebody has resumed a handler.
    pub(super) fn try_held_again(&mut self) {
        if self.stopped || self.held.is_empty() || !self.chain.have_changed() {
            return;
        }
        for (partition, Held { by, batches }) in std::mem::take(&mut self.held) {
            self.let_go(partition, &by);
            self.try_in_order(batches);
        }
    }

    /// Another handles them again, or they are consumed again.
    pub(super) fn drop_held(&mut self, partition: Partition) {
        if let Some(Held { by, batches }) = self.held.remove(&partition) {
            self.let_go(partition, &by);
            batches.iter().for_each(|_| self.flight.land(partition));
        }
    }

    fn let_go(&self, partition: Partition, by: &Handler) {
        self.flight.hold(partition, false);
        by.halted().resume(partition);
        if by.halted().all().is_empty() {
            self.metrics.handler(by.name()).set_state("running");
        }
    }
}
