//! One handler of the chain on one worker: it calls the handler, finds the guilty record when a
//! call fails, hands in again what is to be retried, and keeps everything in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    effects::{DeadLetter, Effects, Kept},
    stop::{Stop, Stopped},
    watch::Watch,
};
use crate::{
    event::{Answer, Batch, Outcome, Outcomes, Verdict},
    plugin::{Failure, FailureKind, Handler, Instance, LoadFault, OnError},
    telemetry::metrics::HandlerMetrics,
};

/// The pause before a record is handed in again for the first time; it doubles each time after.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A handler with this worker's instance of it.
pub(super) struct Link {
    handler: Arc<Handler>,
    instance: Option<Instance>,
    /// Bytes of linear memory that the metrics count for this instance.
    counted_memory: usize,
    metrics: HandlerMetrics,
    stop: Stop,
    /// Only in a rehearsal.
    pub(super) watch: Option<Watch>,
}

/// What came of a piece of a batch. Pieces follow one another in the order of their records.
enum Piece {
    Answered(Arc<Batch>, Box<Answer>),
    /// One record, which the handler fails on even alone.
    Failed(Arc<Batch>, Failure),
}

impl Link {
    pub(super) fn new(handler: Arc<Handler>, metrics: HandlerMetrics, stop: Stop) -> Self {
        Self {
            handler,
            instance: None,
            counted_memory: 0,
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
    ) -> Result<Arc<Batch>, Stopped> {
        let mut next = Batch::empty_like(&batch);
        let mut pieces = self.isolate(batch);
        // The common case: one call, and everything goes on as it came.
        if let [Piece::Answered(_, answer)] = &pieces[..]
            && answer.outcomes.all_pass()
            && let Some(Piece::Answered(batch, answer)) = pieces.pop()
        {
            let handler = (self.handler.name(), self.handler.digest());
            effects.add(handler, &batch, answer.stored, answer.emitted, |_| true);
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

    fn call(&mut self, batch: &Arc<Batch>) -> Result<Answer, Failure> {
        let began = Instant::now();
        let called = self.take_instance().and_then(|mut instance| {
            let answer = instance.call(batch)?;
            Ok((instance, answer))
        });
        self.metrics.called(began.elapsed());
        match called {
            Ok((instance, answer)) => {
                self.count_memory(instance.memory());
                self.instance = Some(instance);
                self.count(&answer.outcomes);
                Ok(answer)
            }
            Err(failure) => {
                self.count_memory(0);
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

    fn count_memory(&mut self, now: usize) {
        if now != self.counted_memory {
            // An instance has far less than 2^63 bytes.
            self.metrics
                .memory_changed(now as i64 - self.counted_memory as i64);
            self.counted_memory = now;
        }
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

    /// Turns a piece into what goes on and what is to happen, record by record.
    fn settle(
        &mut self,
        piece: Piece,
        attempt: u32,
        next: &mut Batch,
        effects: &mut Effects,
    ) -> Result<(), Stopped> {
        let (batch, answer) = match piece {
            Piece::Answered(batch, answer) => (batch, answer),
            Piece::Failed(batch, failure) => {
                if let Some(watch) = &mut self.watch {
                    watch.failed(batch.offset(0));
                }
                let class = class(failure.kind);
                let mut letter = self.letter(&batch, 0, class, failure.message, attempt);
                letter.stacktrace = failure.backtrace;
                self.give_up(letter, effects);
                return Ok(());
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
    ) -> Result<bool, Stopped> {
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
                    self.give_up(letter, effects);
                    return Ok(false);
                }
            }
            Verdict::Retry(_) if attempt <= self.handler.retries() => {
                self.stop
                    .pause(RETRY_PAUSE * 2u32.pow((attempt - 1).min(6)))?;
                for piece in self.isolate(Arc::new(batch.slice(i..i + 1))) {
                    self.settle(piece, attempt + 1, next, effects)?;
                }
                return Ok(false);
            }
            Verdict::Retry(reason) => {
                let letter = self.letter(batch, i, "eventos.Retry", reason.to_owned(), attempt);
                self.metrics.failed("retry");
                self.give_up(letter, effects);
                return Ok(false);
            }
            Verdict::Reject(reason) => {
                let letter = self.letter(batch, i, "eventos.Reject", reason.to_owned(), attempt);
                self.metrics.failed("reject");
                effects.dead.push(letter);
                return Ok(false);
            }
        }
        Ok(true)
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

    fn give_up(&self, letter: DeadLetter, effects: &mut Effects) {
        match self.handler.on_error() {
            OnError::DeadLetter => effects.dead.push(letter),
            OnError::Skip => {
                let DeadLetter {
                    offset, message, ..
                } = letter;
                tracing::warn!(handler = self.handler.name(), %offset, reason = message, "record skipped");
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.count_memory(0);
    }
}

fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Trap => "eventos.Trap",
        FailureKind::Timeout => "eventos.Timeout",
        FailureKind::Memory => "eventos.Memory",
        FailureKind::Invalid => "eventos.Invalid",
    }
}
