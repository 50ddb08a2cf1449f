//! What a handler has stopped, until that may go on.

use std::{collections::VecDeque, sync::Arc};

use super::{work::Work, worker::Worker};
use crate::{event::Partition, plugin::Handler};

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
