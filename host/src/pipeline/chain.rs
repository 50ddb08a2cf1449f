//! The chain of handlers on one worker: each link calls its handler, finds the guilty record when a call fails, decides what
//! becomes of each record, and keeps everything in order.
//!
//! The chain changes between two batches and at no other time, so a batch passes one chain as a whole.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{
    effects::{DeadLetter, Effects, Kept},
    observer::Watch,
    shutdown::{Halt, Stop, Stopped, Undone},
};
use crate::{
    event::{Batch, HandlerOutput, Outcome, Outcomes, Partition, Verdict},
    plugin::{
        ChainReceiver, Failure, FailureKind, FailurePolicy, Handler, Instance, LoadFault, OnError,
    },
    telemetry::metrics::{HandlerMetrics, Metrics},
};

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

/// The pause before a record is handed in again for the first time. It doubles each time after, and up to
/// once as much is added by chance, so that workers that failed together do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause, before what chance adds.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Link {
    /// Turns a piece into what goes on and what is to happen, record by record. `attempt` counts from 1.
    pub(super) fn settle(
        &mut self,
        piece: Piece,
        attempt: u32,
        next: &mut Batch,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let (batch, answer) = match piece {
            Piece::Answered(batch, answer) => (batch, answer),
            Piece::Failed(batch, _) if self.is_retried_after_failure(attempt) => {
                if let Some(watch) = &mut self.watch {
                    watch.failed(batch.offset(0));
                }
                return self.hand_in_again(&batch, 0, attempt, next, effects);
            }
            Piece::Failed(batch, failure) => {
                if let Some(watch) = &mut self.watch {
                    watch.failed(batch.offset(0));
                }
                let class = class(failure.kind);
                let mut letter = self.letter(&batch, 0, class, failure.message, attempt);
                letter.stacktrace = failure.backtrace;
                return self.give_up(&batch, letter, effects);
            }
        };
        let mut counts = Vec::with_capacity(batch.len());
        for (i, verdict) in answer.outcomes.verdicts().enumerate() {
            counts.push(self.judge(verdict, &batch, i, attempt, next, effects)?);
        }
        let handler = (self.handler.name(), self.handler.digest());
        effects.add(handler, &batch, answer.stored, answer.emitted, |i| {
            counts[i]
        });
        Ok(())
    }

    /// Carries out the verdict on one record; answers whether its effects count.
    fn judge(
        &mut self,
        verdict: Verdict<'_>,
        batch: &Arc<Batch>,
        i: usize,
        attempt: u32,
        next: &mut Batch,
        effects: &mut Effects,
    ) -> Result<bool, Undone> {
        if let Some(watch) = &mut self.watch {
            watch.answered(batch.offset(i), &verdict);
        }
        match verdict {
            Verdict::Pass => next.push_from(batch, i),
            Verdict::Drop => {}
            Verdict::Replace(by) => {
                if let Err(fault) = next.push_replacements(batch, i, by) {
                    let message = format!("a replacement is no Evento: {fault}");
                    let letter = self.letter(batch, i, "eventos.Invalid", message, attempt);
                    self.metrics.failed("invalid");
                    self.give_up(batch, letter, effects)?;
                    return Ok(false);
                }
            }
            Verdict::Retry(_) if attempt <= self.handler.failure_policy().retries => {
                self.hand_in_again(batch, i, attempt, next, effects)?;
                return Ok(false);
            }
            Verdict::Retry(reason) => {
                let letter = self.letter(batch, i, "eventos.Retry", reason.to_owned(), attempt);
                self.metrics.failed("retry");
                self.give_up(batch, letter, effects)?;
                return Ok(false);
            }
            Verdict::Reject(reason) => {
                // To reject is no failure: the handler works, and this is what it wants.
                let letter = self.letter(batch, i, "eventos.Reject", reason.to_owned(), attempt);
                self.metrics.failed("reject");
                effects.dead.push(letter);
                self.failures.remove(&batch.partition);
                return Ok(false);
            }
        }
        self.failures.remove(&batch.partition);
        Ok(true)
    }

    fn is_retried_after_failure(&self, attempt: u32) -> bool {
        let treatment = self.handler.failure_policy();
        treatment.on_error == OnError::Retry && attempt <= treatment.retries
    }

    fn hand_in_again(
        &mut self,
        batch: &Batch,
        i: usize,
        attempt: u32,
        next: &mut Batch,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        self.stop.pause(pause_before(attempt + 1))?;
        for piece in self.isolate(Arc::new(batch.slice(i..i + 1))) {
            self.settle(piece, attempt + 1, next, effects)?;
        }
        Ok(())
    }

    fn letter(
        &self,
        batch: &Batch,
        i: usize,
        class: &'static str,
        message: String,
        attempts: u32,
    ) -> DeadLetter {
        DeadLetter {
            offset: batch.offset(i),
            stage: "handle",
            class,
            message,
            stacktrace: String::new(),
            handler: Some((self.handler.name().into(), self.handler.digest().into())),
            attempts,
            kept: Kept::Whole,
        }
    }

    /// Does with a record that failed what the settings say.
    fn give_up(
        &mut self,
        batch: &Batch,
        letter: DeadLetter,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let treatment = self.handler.failure_policy();
        let FailurePolicy {
            on_error,
            max_failures,
            ..
        } = treatment;
        let failures = self.failures.entry(batch.partition).or_default();
        *failures += 1;
        let too_many = max_failures.is_some_and(|max| *failures > max.get());
        // A rehearsal has no partition that could stop: it tells of every record.
        if self.watch.is_none() && (too_many || on_error == OnError::Stop) {
            return Err(self.halt(batch, &letter));
        }
        let DeadLetter {
            offset, message, ..
        } = &letter;
        match on_error {
            OnError::Skip => {
                tracing::warn!(handler = self.handler.name(), %offset, reason = message, "record skipped");
            }
            _ => effects.dead.push(letter),
        }
        Ok(())
    }

    /// Stops the partition before this batch. Nothing of the batch has happened, so nothing is lost.
    fn halt(&mut self, batch: &Batch, letter: &DeadLetter) -> Undone {
        let partition = batch.partition;
        let failures = self.failures.remove(&partition).unwrap_or_default();
        let (offset, message) = (letter.offset, &letter.message);
        let reason = format!(
            "it failed {failures} times in a row, the last time at offset {offset}: {message}"
        );
        let handler = self.handler.name();
        tracing::error!(
            handler, %partition, reason,
            "the partition stops; replace the handler, or go on as it is: POST /handlers/{handler}/resume"
        );
        self.handler.halted().halt(partition, reason);
        self.metrics.set_state("stopped");
        Undone::Halted(Halt {
            by: Arc::clone(&self.handler),
        })
    }
}

/// The pause before this attempt; the first attempt that has one is the second.
fn pause_before(attempt: u32) -> Duration {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times();
    let before = attempt.saturating_sub(2) as usize;
    pauses.build().nth(before).unwrap_or(LONGEST_PAUSE)
}

fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Trap => "eventos.Trap",
        FailureKind::Timeout => "eventos.Timeout",
        FailureKind::Memory => "eventos.Memory",
        FailureKind::Stack => "eventos.Stack",
        FailureKind::Output => "eventos.Output",
        FailureKind::Invalid => "eventos.Invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
