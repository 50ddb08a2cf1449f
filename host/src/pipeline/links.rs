//! A worker's own chain: a link a handler, made anew where the handlers changed. It changes between two batches and at no
//! other time, so a batch passes one chain as a whole.

use std::{sync::Arc, time::Duration};

use super::{
    link::Link,
    stop::{Stop, Stopped},
};
use crate::{plugin::ChainReceiver, telemetry::metrics::Metrics};

/// How soon a worker goes on after a handler was resumed.
const PAUSED: Duration = Duration::from_millis(10);

pub(super) struct Links {
    links: Vec<Link>,
    chains: ChainReceiver,
    metrics: Metrics,
    stop: Stop,
}

impl Links {
    pub(super) fn new(mut chains: ChainReceiver, metrics: Metrics, stop: Stop) -> Self {
        chains.mark_changed();
        Self {
            links: Vec::new(),
            chains,
            metrics,
            stop,
        }
    }

    /// Whether the next batch may meet another chain than the last, or somebody wants what stopped to be tried again.
    pub(super) fn have_changed(&self) -> bool {
        // Without anybody who could change it, the chain stays as it is.
        self.chains.has_changed().unwrap_or(false)
    }

    /// The links for the next batch. While a handler is paused there are none, and this waits; the intake goes on to poll
    /// meanwhile, and fetches no more than a few batches.
    pub(super) fn current(&mut self) -> Result<&mut [Link], Stopped> {
        loop {
            if self.have_changed() {
                self.take_up();
            }
            if !self.chains.borrow().paused {
                return Ok(&mut self.links);
            }
            self.stop.pause(PAUSED)?;
        }
    }

    /// A handler that stays keeps its link, and with it its instance.
    fn take_up(&mut self) {
        let chain = Arc::clone(&self.chains.borrow_and_update());
        let mut former = std::mem::take(&mut self.links);
        for handler in &chain.handlers {
            let kept = former.iter().position(|link| link.is_of(handler));
            let link = match kept {
                Some(at) => former.swap_remove(at),
                None => {
                    let metrics = self.metrics.handler(handler.name());
                    Link::new(Arc::clone(handler), metrics, self.stop.clone())
                }
            };
            self.links.push(link);
        }
    }
}
