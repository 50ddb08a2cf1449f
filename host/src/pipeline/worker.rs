//! A worker: takes a batch through the chain of handlers, brings about its effects, and only then
//! stores its offset. What a handler has stopped it holds, until that may go on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    deliver::Deliverer,
    effects::Effects,
    failure_point::{Point, reached},
    flight::Flight,
    lane::Parcel,
    links::Links,
    originals::Originals,
    restore::Restore,
    stop::{Halt, Stopped, Undone},
    transactor::{Group, Progress, Transactor},
    work::Work,
};
use crate::{
    event::{Batch, Offset, Partition},
    kafka::Producer,
    plugin::Handler,
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
}

/// How effects are brought about.
pub(super) enum Way {
    /// The offset is committed once they are acknowledged.
    AtLeastOnce(Producer),
    /// It is committed with them.
    ExactlyOnce(Box<Transactor>),
}

/// The batches of a partition that has stopped, in their order: at most as many as pause it.
pub(super) struct Held {
    by: Arc<Handler>,
    batches: VecDeque<Work>,
}

impl Worker {
    /// Before anything is consumed.
    pub(super) fn init(&mut self) -> Result<(), Stopped> {
        match &mut self.way {
            Way::AtLeastOnce(_) => Ok(()),
            Way::ExactlyOnce(transactor) => transactor.transactions.init(),
        }
    }

    /// Handles a batch; its offset is stored if, and only if, everything of it is done.
    pub(super) fn handle(&mut self, parcel: Parcel) {
        let partition = parcel.batch.partition;
        // What is no longer ours its new owner handles.
        if self.stopped || !self.group.tenures.stands(partition, parcel.tenure) {
            return self.flight.land(partition);
        }
        let work = Work::from(parcel);
        match self.held.get_mut(&work.partition) {
            Some(held) => held.batches.push_back(work),
            None => self.try_in_order([work].into()),
        }
    }

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

    fn drop_held(&mut self, partition: Partition) {
        if let Some(Held { by, batches }) = self.held.remove(&partition) {
            self.let_go(partition, &by);
            batches.iter().for_each(|_| self.flight.land(partition));
        }
    }

    fn let_go(&self, partition: Partition, by: &Handler) {
        self.flight.hold(partition, false);
        by.stops().go_on(partition);
        if by.stops().all().is_empty() {
            self.metrics.handler(by.name()).in_state("running");
        }
    }

    /// Up to the first that stops its partition: that one is held, with those after it.
    fn try_in_order(&mut self, mut batches: VecDeque<Work>) {
        while let Some(work) = batches.pop_front() {
            let partition = work.partition;
            if self.stopped {
                self.flight.land(partition);
                continue;
            }
            match self.process(&work) {
                Ok(()) => self.done(&work),
                Err(Undone::Stopped) => self.stopped = true,
                Err(Undone::Revoked) => {
                    tracing::info!(%partition, "a batch is left to the partition's new owner");
                }
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

    /// Every effect of a batch is done.
    fn done(&self, work: &Work) {
        let Some(next) = work.next else {
            return;
        };
        if !work.replayed {
            self.metrics.consumed(work.partition, work.records);
            let view = self.store.view_start(work.partition, next);
            self.group.consumer.store_offset(work.partition, next, view);
            reached(Point::OffsetStored);
        }
        if let Some(restore) = &work.restore {
            restore.advance(next);
        }
    }

    fn process(&mut self, work: &Work) -> Result<(), Undone> {
        let Work {
            batch, unreadable, ..
        } = work;
        let mut effects = Effects::of_unreadable(unreadable);
        self.run_chain(Arc::clone(batch), &mut effects)?;
        if work.replayed {
            effects.keep_stored_only();
            show(&self.store, batch, &effects);
            return Ok(());
        }
        reached(Point::Handled);
        let originals = Originals { batch, unreadable };
        match &mut self.way {
            Way::AtLeastOnce(producer) => {
                self.deliverer.deliver(producer, &originals, &mut effects)?;
                show(&self.store, batch, &effects);
                reached(Point::Shown);
            }
            Way::ExactlyOnce(transactor) => {
                // What is shown decides where the view begins, and that is committed along. Whatever becomes of the
                // transaction, it is not shown twice: it is tried until it is committed, or the view is given up.
                show(&self.store, batch, &effects);
                reached(Point::Shown);
                if let Some(next) = work.next {
                    let progress = Progress {
                        partition: work.partition,
                        tenure: work.tenure,
                        next,
                        view: self.store.view_start(work.partition, next),
                    };
                    let (group, deliverer) = (&self.group, &self.deliverer);
                    transactor.deliver(group, deliverer, &originals, &mut effects, progress)?;
                }
            }
        }
        Ok(())
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
