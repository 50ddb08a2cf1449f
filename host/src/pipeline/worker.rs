//! A worker: takes a batch through the chain of handlers, brings about its effects, and only then
//! stores its offset.

use std::sync::Arc;

use super::{
    deliver::{Deliverer, Originals},
    effects::Effects,
    flight::Flight,
    links::Links,
    stop::Stopped,
};
use crate::{
    event::{Batch, RawBatch},
    kafka::Consumer,
    store::Store,
    telemetry::metrics::Metrics,
};

pub(super) struct Worker {
    pub chain: Links,
    pub deliverer: Deliverer,
    pub store: Store,
    pub consumer: Arc<Consumer>,
    pub flight: Arc<Flight>,
    pub metrics: Metrics,
    /// A batch was left undone: nothing after it may be done, or its offset would be skipped.
    pub stopped: bool,
}

impl Worker {
    /// Handles a batch; its offset is stored if, and only if, everything of it is done.
    pub(super) fn handle(&mut self, raw: RawBatch) {
        let (partition, records) = (raw.partition, raw.len());
        let next = raw.next_offset();
        if !self.stopped {
            match self.process(raw) {
                Ok(()) => {
                    self.metrics.consumed(partition, records as u64);
                    if let Some(next) = next {
                        self.consumer.store_offset(partition, next);
                    }
                }
                Err(Stopped) => self.stopped = true,
            }
        }
        self.flight.land(partition);
    }

    fn process(&mut self, raw: RawBatch) -> Result<(), Stopped> {
        let (batch, unreadable) = raw.read();
        let mut effects = Effects::of_unreadable(&unreadable);
        let batch = Arc::new(batch);
        self.run_chain(Arc::clone(&batch), &mut effects)?;
        let originals = Originals {
            batch: &batch,
            unreadable: &unreadable,
        };
        self.deliverer.deliver(&originals, &mut effects)?;
        // The batch itself goes first, so that the store sees where this begins even if nothing of it is stored.
        let whole = (!batch.is_empty()).then_some((&*batch, &[][..]));
        let pieces = effects.stored.iter();
        let pieces = pieces.map(|(batch, records)| (&**batch, &records[..]));
        let stored: Vec<_> = whole.into_iter().chain(pieces).collect();
        self.store.append(&stored);
        Ok(())
    }

    fn run_chain(&mut self, mut batch: Arc<Batch>, effects: &mut Effects) -> Result<(), Stopped> {
        for link in self.chain.current()? {
            if batch.is_empty() {
                break;
            }
            batch = link.pass(batch, effects)?;
        }
        Ok(())
    }
}
