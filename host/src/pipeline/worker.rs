//! A worker: takes a batch through the chain of handlers, brings about its effects, and only then
//! stores its offset. What a handler has stopped it holds, until that may go on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{
    deliver::Deliverer,
    effects::Effects,
    failure_point::{Point, reached},
    flight::Flight,
    held::Held,
    lane::Parcel,
    links::Links,
    outbox::Outbox,
    restore::Restore,
    stop::{Halt, Stopped, Undone},
    transactor::{Group, Transactor},
    uncommitted::Uncommitted,
    work::{Handled, Work},
};
use crate::{
    event::{Batch, Offset, Partition},
    kafka::{Position, Producer},
    store::Store,
    telemetry::metrics::Metrics,
};

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
