//! One handler of the chain on one worker: it calls the handler, finds the guilty record when a
//! call fails, and keeps everything in order; what becomes of each record `settle` decides.

mod settle;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    effects::Effects,
    stop::{Stop, Undone},
    watch::Watch,
};
use crate::{
    event::{Batch, HandlerOutput, Outcome, Outcomes, Partition},
    plugin::{Failure, FailureKind, Handler, Instance, LoadFault},
    telemetry::metrics::HandlerMetrics,
};

/// A handler with this worker's instance of it.
pub(super) struct Link {
    handler: Arc<Handler>,
    instance: Option<Instance>,
    /// How many records it has failed on in a row, where that is any.
    failures: BTreeMap<Partition, u32>,
    metrics: HandlerMetrics,
    stop: Stop,
    /// Only in a rehearsal.
    pub(super) watch: Option<Watch>,
}

/// What came of a piece of a batch. Pieces follow one another in the order of their records.
enum Piece {
    Answered(Arc<Batch>, Box<HandlerOutput>),
    /// One record, which the handler fails on even alone.
    Failed(Arc<Batch>, Failure),
}

impl Link {
    pub(super) fn new(handler: Arc<Handler>, metrics: HandlerMetrics, stop: Stop) -> Self {
        Self {
            handler,
            instance: None,
            failures: BTreeMap::new(),
            metrics,
            stop,
            watch: None,
        }
    }

    /// Whether it is a link of this very version.
    pub(super) fn is_of(&self, handler: &Arc<Handler>) -> bool {
        Arc::ptr_eq(&self.handler, handler)
    }

    /// Passes a batch, which is not empty, through the handler: what is to go on is the answer,
    /// what is to happen is added to the effects.
    pub(super) fn pass(
        &mut self,
        batch: Arc<Batch>,
        effects: &mut Effects,
    ) -> Result<Arc<Batch>, Undone> {
        let mut next = Batch::empty_like(&batch);
        let mut pieces = self.isolate(batch);
        // The common case: one call, and everything goes on as it came.
        if let [Piece::Answered(_, answer)] = &pieces[..]
            && answer.outcomes.all_pass()
            && let Some(Piece::Answered(batch, answer)) = pieces.pop()
        {
            let handler = (self.handler.name(), self.handler.digest());
            effects.add(handler, &batch, answer.stored, answer.emitted, |_| true);
            self.failures.remove(&batch.partition);
            return Ok(batch);
        }
        for piece in pieces {
            self.settle(piece, 1, &mut next, effects)?;
        }
        Ok(Arc::new(next))
    }

    /// Calls the handler; a batch that fails is halved until the guilty record is alone.
    fn isolate(&mut self, batch: Arc<Batch>) -> Vec<Piece> {
        match self.call(&batch) {
            Ok(answer) => vec![Piece::Answered(batch, Box::new(answer))],
            Err(failure) if batch.len() == 1 => vec![Piece::Failed(batch, failure)],
            Err(_) => {
                if let Some(watch) = &self.watch {
                    watch.halved(&batch);
                }
                let half = batch.len() / 2;
                let mut pieces = self.isolate(Arc::new(batch.slice(0..half)));
                pieces.extend(self.isolate(Arc::new(batch.slice(half..batch.len()))));
                pieces
            }
        }
    }

    fn call(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, Failure> {
        let began = Instant::now();
        let called = self.take_instance().and_then(|mut instance| {
            let answer = instance.call(batch)?;
            Ok((instance, answer))
        });
        self.metrics.called(began.elapsed());
        match called {
            Ok((instance, answer)) => {
                self.instance = Some(instance);
                self.count(&answer.outcomes);
                Ok(answer)
            }
            Err(failure) => {
                let (handler, kind) = (self.handler.name(), failure.kind.name());
                self.metrics.failed(kind);
                tracing::debug!(handler, kind, records = batch.len(), %failure, "the call failed");
                Err(failure)
            }
        }
    }

    /// This worker's instance; only a call that succeeds puts it back.
    fn take_instance(&mut self) -> Result<Instance, Failure> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        self.handler.instance().map_err(|fault| match fault {
            LoadFault::Start(failure) => failure,
            other => Failure {
                kind: FailureKind::Trap,
                message: other.to_string(),
                backtrace: String::new(),
            },
        })
    }

    fn count(&self, outcomes: &Outcomes) {
        let mut counts = [0; Outcome::ALL.len()];
        for outcome in outcomes.iter() {
            counts[outcome as usize] += 1;
        }
        for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
            if count > 0 {
                self.metrics.answered(outcome, count);
            }
        }
    }
}
