//! The handler chain of one worker. It changes only between two batches, so a batch passes one chain as a whole.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    chain_step::ChainStep,
    effects::Effects,
    passage::{ChainProgress, Turn},
    shutdown::Undone,
};
use crate::{event::TopicPartition, plugin::ChainReceiver, telemetry::metrics::Metrics};

/// How soon a worker notices that a paused handler was resumed.
const PAUSE_CHECK: Duration = Duration::from_millis(10);

/// The handler chain of one worker.
pub(super) struct HandlerChain {
    steps: Vec<ChainStep>,
    /// Changes with the list of handlers.
    version: u64,
    /// Whether no batch may pass these steps.
    is_paused: bool,
    chains: ChainReceiver,
    metrics: Metrics,
}

impl HandlerChain {
    pub(super) fn new(chains: ChainReceiver, metrics: Metrics) -> Self {
        let mut chain = Self {
            steps: Vec::new(),
            version: 0,
            is_paused: false,
            chains,
            metrics,
        };
        // The sender of a fixed chain is dropped before this, so no change would ever be seen.
        chain.update();
        chain
    }

    /// Returns whether the next batch may meet another chain than the last one, or a handler was resumed and halted
    /// partitions have to be tried again.
    pub(super) fn has_changed(&self) -> bool {
        // If the registry is gone, the chain cannot change any more.
        self.chains.has_changed().unwrap_or(false)
    }

    /// Takes up the chain as it is now, for the next batch, and returns its version. While a handler is paused, batches are
    /// parked; meanwhile the intake goes on polling, and consumes no more than a few of them.
    pub(super) fn begin(&mut self) -> Result<u64, Undone> {
        if self.has_changed() {
            self.update();
        }
        // The published chain may be another one by now, which these steps are not.
        match self.is_paused {
            true => Err(Undone::Parked(Instant::now() + PAUSE_CHECK)),
            false => Ok(self.version),
        }
    }

    /// Passes a batch through the steps, from the one that it has reached on, and adds what is to happen to the effects.
    pub(super) fn run(
        &mut self,
        progress: &mut ChainProgress,
        effects: &mut Effects,
        turn: &Turn<'_>,
    ) -> Result<(), Undone> {
        while let Some(step) = self.steps.get_mut(progress.step) {
            if progress.batch.is_empty() {
                break;
            }
            step.pass(progress, effects, turn)?;
        }
        Ok(())
    }

    /// Forgets what is counted for a partition that was revoked or rewound.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        for step in &mut self.steps {
            step.forget(partition);
        }
    }

    /// Takes up the published chain. A handler that stays keeps its step, and with it its instance.
    fn update(&mut self) {
        let chain = Arc::clone(&self.chains.borrow_and_update());
        self.is_paused = chain.paused;
        let mut former = std::mem::take(&mut self.steps);
        let is_same = former.len() == chain.handlers.len()
            && former
                .iter()
                .zip(&chain.handlers)
                .all(|(step, handler)| step.is_of(handler));
        self.version += u64::from(!is_same);
        for handler in &chain.handlers {
            let kept = former.iter().position(|step| step.is_of(handler));
            let step = match kept {
                Some(at) => former.swap_remove(at),
                None => {
                    let metrics = self.metrics.handler(handler.name());
                    ChainStep::new(Arc::clone(handler), metrics)
                }
            };
            self.steps.push(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::watch;

    use super::*;
    use crate::{
        event::HandlerOutput,
        plugin::{Chain, Handler},
    };

    #[test]
    fn a_fixed_chain_has_its_handlers_though_nobody_publishes_another() {
        let handler = Handler::native("probe", |_| HandlerOutput::default());
        let chains = Chain::fixed(vec![Arc::new(handler)]);
        let mut chain = HandlerChain::new(chains, Metrics::new());
        assert!(chain.begin().is_ok());
        assert_eq!(chain.steps.len(), 1);
        assert!(!chain.has_changed());
    }

    /// While the handlers are loaded, the chain is paused and empty. A batch that passed it then would be lost.
    #[test]
    fn no_batch_passes_the_steps_of_a_chain_that_was_paused() {
        let handler = Handler::native("probe", |_| HandlerOutput::default());
        let complete = Arc::new(Chain {
            handlers: vec![Arc::new(handler)],
            ..Chain::default()
        });
        let incomplete = Arc::new(Chain {
            paused: true,
            ..Chain::default()
        });
        let (publisher, chains) = watch::channel(Arc::clone(&incomplete));
        let mut chain = HandlerChain::new(chains, Metrics::new());
        let publishing = thread::spawn(move || {
            for _ in 0..500_000 {
                publisher.send_replace(Arc::clone(&complete));
                publisher.send_replace(Arc::clone(&incomplete));
            }
        });
        while !publishing.is_finished() {
            if chain.begin().is_ok() {
                assert_eq!(chain.steps.len(), 1);
            }
        }
        publishing.join().expect("it publishes");
    }
}
