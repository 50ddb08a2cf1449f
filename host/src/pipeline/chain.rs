//! The handler chain of one worker. Each step calls its handler, finds the record that is to blame when a call fails,
//! decides about each record, and keeps the records in order.
//!
//! The chain changes only between two batches, so a batch passes one chain as a whole.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{
    effects::Effects,
    observer::Observer,
    shutdown::{ShutdownSignal, ShuttingDown, Undone},
};
use crate::{
    event::{
        Batch, DeadLetterReason, FailureKind, HandlerOutput, Offset, Outcome, Outcomes,
        TopicPartition, Verdict,
    },
    plugin::{ChainReceiver, FailurePolicy, Handler, Instance, LoadFault, OnError},
    telemetry::metrics::{HandlerMetrics, Metrics},
};

/// How soon a worker notices that a paused handler was resumed.
const PAUSE_CHECK: Duration = Duration::from_millis(10);

/// The pause before a record is handed to a handler again for the first time. It doubles each time after that, and a
/// random part of up to the same length is added, so that workers that failed together do not retry together.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a retry, without the random part.
const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The handler chain of one worker.
pub(super) struct HandlerChain {
    steps: Vec<ChainStep>,
    chains: ChainReceiver,
    metrics: Metrics,
    shutdown: ShutdownSignal,
}

/// A handler, with this worker's instance of it.
pub(super) struct ChainStep {
    handler: Arc<Handler>,
    instance: Option<Instance>,
    /// The number of records in a row on which the handler has failed, for each partition where there are any.
    failures: BTreeMap<TopicPartition, u32>,
    metrics: HandlerMetrics,
    shutdown: ShutdownSignal,
    /// Only in a dry run.
    pub(super) observer: Option<Observer>,
}

/// The result of calling the handler with a piece of a batch. Pieces follow one another in the order of their records.
enum Piece {
    Answered(Arc<Batch>, Box<HandlerOutput>),
    /// A single record on which the handler fails.
    Failed(Arc<Batch>, Box<DeadLetterReason>),
}

/// The results of the pieces of one batch.
struct Results<'e> {
    /// The records that go on to the next step.
    next: Batch,
    effects: &'e mut Effects,
}

impl HandlerChain {
    pub(super) fn new(chains: ChainReceiver, metrics: Metrics, shutdown: ShutdownSignal) -> Self {
        let mut chain = Self {
            steps: Vec::new(),
            chains,
            metrics,
            shutdown,
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

    /// Returns the steps for the next batch. While a handler is paused, this waits; meanwhile the intake goes on polling,
    /// and consumes no more than a few batches.
    pub(super) fn steps(&mut self) -> Result<&mut [ChainStep], ShuttingDown> {
        loop {
            if self.has_changed() {
                self.update();
            }
            if !self.chains.borrow().paused {
                return Ok(&mut self.steps);
            }
            self.shutdown.sleep(PAUSE_CHECK)?;
        }
    }

    /// Forgets what is counted for a partition that was revoked or rewound.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        for step in &mut self.steps {
            step.failures.remove(partition);
        }
    }

    /// Takes up the published chain. A handler that stays keeps its step, and with it its instance.
    fn update(&mut self) {
        let chain = Arc::clone(&self.chains.borrow_and_update());
        let mut former = std::mem::take(&mut self.steps);
        for handler in &chain.handlers {
            let kept = former.iter().position(|step| step.is_of(handler));
            let step = match kept {
                Some(at) => former.swap_remove(at),
                None => {
                    let metrics = self.metrics.handler(handler.name());
                    ChainStep::new(Arc::clone(handler), metrics, self.shutdown.clone())
                }
            };
            self.steps.push(step);
        }
    }
}

impl ChainStep {
    pub(super) fn new(
        handler: Arc<Handler>,
        metrics: HandlerMetrics,
        shutdown: ShutdownSignal,
    ) -> Self {
        Self {
            handler,
            instance: None,
            failures: BTreeMap::new(),
            metrics,
            shutdown,
            observer: None,
        }
    }

    /// Returns whether this step calls this very version of a handler.
    fn is_of(&self, handler: &Arc<Handler>) -> bool {
        Arc::ptr_eq(&self.handler, handler)
    }

    /// Passes a batch, which is not empty, to the handler. Returns the records that go on, and adds what is to happen to
    /// the effects.
    pub(super) fn pass(
        &mut self,
        batch: Arc<Batch>,
        effects: &mut Effects,
    ) -> Result<Arc<Batch>, Undone> {
        // The common case: one call, and every record goes on unchanged.
        let pieces = match self.call(&batch) {
            Ok(answer) if answer.outcomes.all_pass() => {
                self.add_effects(&batch, answer, effects, |_| true);
                self.succeeded(batch.topic_partition());
                return Ok(batch);
            }
            answered => self.isolate(Arc::clone(&batch), answered),
        };
        let next = Batch::empty_like(&batch);
        let mut results = Results { next, effects };
        for piece in pieces {
            self.settle(piece, 1, &mut results)?;
        }
        Ok(Arc::new(results.next))
    }

    /// Returns the pieces of a batch after the handler was called with it: a batch on which the call failed is halved until
    /// the record that is to blame is alone.
    fn isolate(
        &mut self,
        batch: Arc<Batch>,
        answered: Result<HandlerOutput, Box<DeadLetterReason>>,
    ) -> Vec<Piece> {
        match answered {
            Ok(answer) => vec![Piece::Answered(batch, Box::new(answer))],
            Err(failure) if batch.len() == 1 => vec![Piece::Failed(batch, failure)],
            Err(_) => {
                if let Some(observer) = &self.observer {
                    observer.halved(&batch);
                }
                let half = batch.len() / 2;
                let mut pieces = self.call_in_pieces(batch.slice(0..half));
                pieces.extend(self.call_in_pieces(batch.slice(half..batch.len())));
                pieces
            }
        }
    }

    fn call_in_pieces(&mut self, batch: Batch) -> Vec<Piece> {
        let batch = Arc::new(batch);
        let answered = self.call(&batch);
        self.isolate(batch, answered)
    }

    fn call(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, Box<DeadLetterReason>> {
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
                let kind = failure.kind().map_or("unknown", FailureKind::label);
                let handler = self.handler.name();
                self.metrics.failed(kind);
                tracing::debug!(handler, kind, records = batch.len(), %failure, "a call of the handler failed");
                Err(failure)
            }
        }
    }

    /// Takes this worker's instance; only a call that succeeds puts it back.
    fn take_instance(&mut self) -> Result<Instance, Box<DeadLetterReason>> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        self.handler.instance().map_err(|fault| match fault {
            LoadFault::Start(failure) => failure,
            other => Box::new(DeadLetterReason::new(FailureKind::Trap, other.to_string())),
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

    /// Decides about a piece record by record. `attempt` counts from 1.
    fn settle(
        &mut self,
        piece: Piece,
        attempt: u32,
        results: &mut Results<'_>,
    ) -> Result<(), Undone> {
        let (batch, answer) = match piece {
            Piece::Answered(batch, answer) => (batch, answer),
            Piece::Failed(batch, reason) => {
                if let Some(observer) = &mut self.observer {
                    observer.failed(batch.offset(0));
                }
                return match self.is_retried_after_failure(attempt) {
                    true => self.retry(&batch, 0, attempt, results),
                    false => {
                        let reason = self.attributed(*reason, attempt);
                        self.give_up(&batch, 0, reason, results.effects)
                    }
                };
            }
        };
        let mut counts = Vec::with_capacity(batch.len());
        for (i, verdict) in answer.outcomes.verdicts().enumerate() {
            counts.push(self.judge(&batch, i, verdict, attempt, results)?);
        }
        self.add_effects(&batch, *answer, results.effects, |i| counts[i]);
        Ok(())
    }

    /// Carries out the verdict on one record. Returns whether the effects of the record count.
    fn judge(
        &mut self,
        batch: &Arc<Batch>,
        i: usize,
        verdict: Verdict<'_>,
        attempt: u32,
        results: &mut Results<'_>,
    ) -> Result<bool, Undone> {
        if let Some(observer) = &mut self.observer {
            observer.answered(batch.offset(i), &verdict);
        }
        let (kind, message) = match verdict {
            Verdict::Pass => {
                results.next.push_from(batch, i);
                self.succeeded(batch.topic_partition());
                return Ok(true);
            }
            Verdict::Drop => {
                self.succeeded(batch.topic_partition());
                return Ok(true);
            }
            Verdict::Replace(replacements) => {
                match results.next.push_replacements(batch, i, replacements) {
                    Ok(()) => {
                        self.succeeded(batch.topic_partition());
                        return Ok(true);
                    }
                    Err(fault) => (
                        FailureKind::Invalid,
                        format!("a replacement is not a valid Evento: {fault}"),
                    ),
                }
            }
            Verdict::Retry(_) if attempt <= self.handler.failure_policy().retries => {
                self.retry(batch, i, attempt, results)?;
                return Ok(false);
            }
            Verdict::Retry(reason) => (FailureKind::Retry, reason.to_owned()),
            Verdict::Reject(reason) => (FailureKind::Reject, reason.to_owned()),
        };
        self.metrics.failed(kind.label());
        let reason = self.attributed(DeadLetterReason::new(kind, message), attempt);
        if kind == FailureKind::Reject {
            // A rejection is not a failure of the handler: the handler works, and this is its decision.
            results.effects.dead.push((batch.offset(i), reason));
            self.succeeded(batch.topic_partition());
        } else {
            self.give_up(batch, i, reason, results.effects)?;
        }
        Ok(false)
    }

    fn add_effects(
        &self,
        batch: &Arc<Batch>,
        answer: HandlerOutput,
        effects: &mut Effects,
        counts: impl Fn(usize) -> bool,
    ) {
        let handler = (self.handler.name(), self.handler.digest());
        effects.add(handler, batch, answer.stored, answer.emitted, counts);
    }

    fn succeeded(&mut self, partition: &TopicPartition) {
        self.failures.remove(partition);
    }

    fn is_retried_after_failure(&self, attempt: u32) -> bool {
        let treatment = self.handler.failure_policy();
        treatment.on_error == OnError::Retry && attempt <= treatment.retries
    }

    /// Hands a record to the handler again, after a pause.
    fn retry(
        &mut self,
        batch: &Batch,
        i: usize,
        attempt: u32,
        results: &mut Results<'_>,
    ) -> Result<(), Undone> {
        self.shutdown.sleep(pause_before(attempt + 1))?;
        for piece in self.call_in_pieces(batch.slice(i..i + 1)) {
            self.settle(piece, attempt + 1, results)?;
        }
        Ok(())
    }

    /// Adds to a reason which handler gave it, and after how many attempts.
    fn attributed(&self, reason: DeadLetterReason, attempts: u32) -> DeadLetterReason {
        DeadLetterReason {
            handler: Some(self.handler.name().to_owned()),
            digest: Some(self.handler.digest().to_owned()),
            attempts: Some(attempts),
            ..reason
        }
    }

    /// Does with a record on which the handler failed what the handler's settings say.
    fn give_up(
        &mut self,
        batch: &Batch,
        i: usize,
        reason: DeadLetterReason,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let offset = batch.offset(i);
        let FailurePolicy {
            on_error,
            max_failures,
            ..
        } = self.handler.failure_policy();
        let failures = self.failures.entry(batch.topic_partition().clone());
        let failures = failures.or_default();
        *failures += 1;
        let is_one_too_many = max_failures.is_some_and(|max| *failures > max.get());
        // A dry run has no partition to halt: it reports every record.
        if self.observer.is_none() && (is_one_too_many || on_error == OnError::Stop) {
            return Err(self.halt(batch, offset, &reason));
        }
        if on_error == OnError::Skip {
            tracing::warn!(handler = self.handler.name(), %offset, %reason, "record skipped");
        } else {
            effects.dead.push((offset, reason));
        }
        Ok(())
    }

    /// Halts the partition before this batch. None of the effects of the batch has happened, so nothing is lost.
    fn halt(&mut self, batch: &Batch, offset: Offset, reason: &DeadLetterReason) -> Undone {
        let partition = batch.topic_partition();
        let failures = self.failures.remove(partition).unwrap_or_default();
        let handler = self.handler.name();
        let reason = format!(
            "it failed {failures} times in a row, the last time at offset {offset}: {reason}"
        );
        tracing::error!(
            handler, %partition, reason,
            "partition halted; replace the handler, or resume it as it is: POST /handlers/{handler}/resume"
        );
        self.metrics.set_state("stopped");
        Undone::Halted {
            by: Arc::clone(&self.handler),
            reason,
        }
    }
}

/// Returns the pause before an attempt. The second attempt is the first one with a pause.
fn pause_before(attempt: u32) -> Duration {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST_RETRY_PAUSE)
        .with_max_delay(LONGEST_RETRY_PAUSE)
        .with_jitter()
        .without_max_times();
    let before = attempt.saturating_sub(2) as usize;
    pauses.build().nth(before).unwrap_or(LONGEST_RETRY_PAUSE)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{event::HandlerOutput, plugin::Chain};

    #[tokio::test]
    async fn a_fixed_chain_has_its_handlers_though_nobody_publishes_another() {
        let handler = Handler::native("probe", |_| HandlerOutput::default());
        let chains = Chain::fixed(vec![Arc::new(handler)]);
        let shutdown = ShutdownSignal::new(CancellationToken::new(), Handle::current());
        let mut chain = HandlerChain::new(chains, Metrics::new(), shutdown);
        assert_eq!(chain.steps().expect("it is not paused").len(), 1);
        assert!(!chain.has_changed());
    }

    #[test]
    fn pauses_grow_and_vary_and_are_bounded() {
        for (attempt, least) in [
            (2, 100),
            (3, 200),
            (4, 400),
            (8, 6_400),
            (9, 10_000),
            (1_000, 10_000),
        ] {
            let least = Duration::from_millis(least);
            let pauses: Vec<_> = (0..50).map(|_| pause_before(attempt)).collect();
            let within = |pause: &Duration| (least..=least * 2).contains(pause);
            assert!(pauses.iter().all(within), "{attempt}: {pauses:?}");
            assert!(
                pauses.iter().any(|pause| *pause != pauses[0]),
                "{attempt}: {pauses:?}"
            );
        }
    }
}
