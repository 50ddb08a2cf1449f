//! One step of a handler chain: it calls the handler, finds the record that is to blame when a call fails, decides about each
//! record, and keeps the records in order.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{
    breaker::Breaker,
    effects::Effects,
    observer::Observer,
    passage::{ChainProgress, MAX_OUTPUT, Passage, Turn},
    shutdown::Undone,
};
use crate::{
    event::{
        Batch, DeadLetterReason, FailureKind, HandlerOutput, Offset, Outcome, Outcomes,
        TopicPartition, Verdict,
    },
    plugin::{FailurePolicy, Handler, Instance, LoadFault, OnError},
    telemetry::metrics::HandlerMetrics,
};

/// The pause before a record is handed to a handler again for the first time. It doubles each time after that, and a
/// random part of up to the same length is added, so that workers that failed together do not retry together.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a retry, without the random part.
const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The records that go on from a step have at most this many bytes together. Columns hold less than 4 GiB.
const MAX_NEXT: usize = 2 << 30;

/// A batch whose call runs over its time is called again in this many pieces. It is more than two, since each such call
/// takes all the time that it may.
const PIECES_AFTER_TIMEOUT: usize = 8;

/// A handler, with this worker's instance of it.
pub(super) struct ChainStep {
    handler: Arc<Handler>,
    instance: Option<Instance>,
    breaker: Breaker,
    metrics: HandlerMetrics,
    /// Only in a dry run.
    pub(super) observer: Option<Observer>,
}

/// A call that failed.
struct FailedCall {
    reason: Box<DeadLetterReason>,
    took: Duration,
}

impl ChainStep {
    pub(super) fn new(handler: Arc<Handler>, metrics: HandlerMetrics) -> Self {
        Self {
            instance: None,
            breaker: Breaker::new(handler.failure_policy().timeout),
            handler,
            metrics,
            observer: None,
        }
    }

    /// Returns whether this step calls this very version of a handler.
    pub(super) fn is_of(&self, handler: &Arc<Handler>) -> bool {
        Arc::ptr_eq(&self.handler, handler)
    }

    /// Passes a batch, which is not empty, to the handler, and adds what is to happen to the effects. Once that is done, the
    /// batch is at the next step, with the records that go on. If it is interrupted, it goes on from there next time.
    pub(super) fn pass(
        &mut self,
        progress: &mut ChainProgress,
        effects: &mut Effects,
        turn: &Turn<'_>,
    ) -> Result<(), Undone> {
        let mut passage = match progress.passage.take() {
            Some(passage) => passage,
            None if progress.piece < progress.batch.len() => {
                Passage::new(Arc::clone(&progress.batch), progress.piece)
            }
            None => match self.call(&progress.batch) {
                // The common case: one call, and every record goes on unchanged.
                Ok(answer) if answer.outcomes.all_pass() => {
                    self.add_effects(&progress.batch, answer, effects, |_| true);
                    self.breaker.succeeded(progress.batch.topic_partition());
                    progress.advance();
                    return Ok(());
                }
                called => {
                    let mut passage = Passage::new(Arc::clone(&progress.batch), usize::MAX);
                    let all = passage.take_piece();
                    self.settle(&mut passage, all.unwrap_or_default(), called, effects)?;
                    passage
                }
            },
        };
        match self.work_off(&mut passage, progress.first, effects, turn) {
            Ok(()) => {
                progress.note_piece(passage.last_piece);
                progress.batch = Arc::new(passage.finish());
                progress.advance();
                Ok(())
            }
            Err(undone) => {
                progress.passage = Some(passage);
                Err(undone)
            }
        }
    }

    /// Calls the handler with the records that are left, piece by piece, until there are none or the batch is interrupted.
    fn work_off(
        &mut self,
        passage: &mut Passage,
        first: Offset,
        effects: &mut Effects,
        turn: &Turn<'_>,
    ) -> Result<(), Undone> {
        if passage.due > Instant::now() {
            return Err(Undone::Parked(passage.due));
        }
        loop {
            if passage.output > MAX_OUTPUT {
                self.make_room(passage, first, effects)?;
            }
            if passage.next_index().is_some() {
                turn.check()?;
            }
            let Some(range) = passage.take_piece() else {
                let pause = pause_before(passage.attempt + 1);
                return match passage.begin_round(Instant::now() + pause) {
                    true => Err(Undone::Parked(passage.due)),
                    false => Ok(()),
                };
            };
            let called = self.call(&passage.piece(&range));
            self.settle(passage, range, called, effects)?;
        }
    }

    /// Forgets the failures of a partition.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.breaker.forget(partition);
    }

    /// Makes room once the handler has returned as much as is kept for one batch: the records that it was not called with yet
    /// become another batch. The records of the first offset stay together, so if those alone are too much, they fail.
    fn make_room(
        &mut self,
        passage: &mut Passage,
        first: Offset,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let Some(index) = passage.next_index() else {
            return Ok(());
        };
        let at = passage.batch.offset(index);
        if at > first {
            passage.cut(at);
            effects.cut(at);
            return Ok(());
        }
        passage.skip_next();
        let batch = Arc::clone(&passage.batch);
        self.metrics.failed(FailureKind::Output.label());
        let message =
            format!("one record has led to more than {MAX_OUTPUT} bytes, the limit for a batch");
        let reason = DeadLetterReason::new(FailureKind::Output, message);
        let reason = self.attributed(reason, passage.attempt);
        self.give_up(&batch, index, reason, effects)
    }

    /// Decides about the records of a piece after the handler was called with it. A piece on which the call failed is handed
    /// over again in smaller pieces, until the record that is to blame is alone.
    fn settle(
        &mut self,
        passage: &mut Passage,
        range: Range<usize>,
        called: Result<HandlerOutput, FailedCall>,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let answer = match called {
            Ok(answer) => answer,
            Err(failure) => return self.settle_failure(passage, range, failure, effects),
        };
        let piece = passage.piece(&range);
        let bytes = answer.footprint();
        if passage.next.byte_len() + piece.byte_len() + bytes > MAX_NEXT {
            let message = "what goes on of its batch is larger than 2 GiB";
            let reason = Box::new(DeadLetterReason::new(
                FailureKind::Output,
                message.to_owned(),
            ));
            let took = Duration::ZERO;
            return self.settle_failure(passage, range, FailedCall { reason, took }, effects);
        }
        passage.output = passage.output.saturating_add(bytes);
        passage.last_piece = range.len();
        let mut counts = Vec::with_capacity(range.len());
        for (index, verdict) in range.zip(answer.outcomes.verdicts()) {
            counts.push(self.judge(passage, index, verdict, effects)?);
        }
        self.add_effects(&piece, answer, effects, |i| counts[i]);
        Ok(())
    }

    fn settle_failure(
        &mut self,
        passage: &mut Passage,
        range: Range<usize>,
        FailedCall { reason, took }: FailedCall,
        effects: &mut Effects,
    ) -> Result<(), Undone> {
        let batch = Arc::clone(&passage.batch);
        let partition = batch.topic_partition();
        let is_timeout = reason.kind() == Some(FailureKind::Timeout);
        if self.observer.is_none()
            && let Some(spent) = self.breaker.failed(partition, took, Instant::now())
        {
            let why = format!(
                "its failed calls took {:.0} s in short succession",
                spent.as_secs_f64()
            );
            return Err(self.halt(&batch, range.start, &why, &reason));
        }
        if range.len() > 1 {
            if let Some(observer) = &self.observer {
                observer.halved(&batch.slice(range.clone()));
            }
            passage.split(&range, if is_timeout { PIECES_AFTER_TIMEOUT } else { 2 });
            return Ok(());
        }
        if let Some(observer) = &mut self.observer {
            observer.failed(batch.offset(range.start));
        }
        if self.is_retried_after_failure(passage.attempt) {
            passage.retry(range.start);
            return Ok(());
        }
        let reason = self.attributed(*reason, passage.attempt);
        self.give_up(&batch, range.start, reason, effects)
    }

    /// Passes a batch to the handler. An instance that has handled batches before may have filled its memory with what they
    /// left behind, of which these records are innocent: if it has no memory left, a new one gets the same batch.
    fn call(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, FailedCall> {
        let began = Instant::now();
        let is_used = self.instance.is_some();
        let mut called = self.call_instance(batch);
        if let Err(reason) = &called
            && is_used
            && reason.kind() == Some(FailureKind::Memory)
        {
            let handler = self.handler.name();
            tracing::debug!(handler, records = batch.len(), failure = %reason, "an instance was full; trying in a new one");
            called = self.call_instance(batch);
        }
        let took = began.elapsed();
        self.metrics.called(took);
        match called {
            Ok(answer) => {
                self.count(&answer.outcomes);
                Ok(answer)
            }
            Err(reason) => {
                let kind = reason.kind().map_or("unknown", FailureKind::label);
                let handler = self.handler.name();
                // A call with several records is repeated in parts, until the failing record is alone and counted once.
                if batch.len() == 1 {
                    self.metrics.failed(kind);
                }
                tracing::debug!(handler, kind, records = batch.len(), failure = %reason, "a call of the handler failed");
                Err(FailedCall { reason, took })
            }
        }
    }

    /// Calls this worker's instance, or a new one if it has none. Only a call that succeeds keeps the instance.
    fn call_instance(
        &mut self,
        batch: &Arc<Batch>,
    ) -> Result<HandlerOutput, Box<DeadLetterReason>> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.handler.instance().map_err(|fault| match fault {
                LoadFault::Start(failure) => failure,
                other => Box::new(DeadLetterReason::new(FailureKind::Trap, other.to_string())),
            })?,
        };
        let answer = instance.call(batch)?;
        self.instance = Some(instance);
        Ok(answer)
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

    /// Carries out the verdict on one record. Returns whether the effects of the record count.
    fn judge(
        &mut self,
        passage: &mut Passage,
        index: usize,
        verdict: Verdict<'_>,
        effects: &mut Effects,
    ) -> Result<bool, Undone> {
        let batch = Arc::clone(&passage.batch);
        let attempt = passage.attempt;
        if let Some(observer) = &mut self.observer {
            observer.answered(batch.offset(index), &verdict);
        }
        let (kind, message) = match verdict {
            Verdict::Pass => {
                passage.go_on(index);
                self.breaker.succeeded(batch.topic_partition());
                return Ok(true);
            }
            Verdict::Drop => {
                self.breaker.succeeded(batch.topic_partition());
                return Ok(true);
            }
            Verdict::Replace(replacements) => match passage.replace(index, replacements) {
                Ok(()) => {
                    self.breaker.succeeded(batch.topic_partition());
                    return Ok(true);
                }
                Err(fault) => (
                    FailureKind::Invalid,
                    format!("a replacement is not a valid Evento: {fault}"),
                ),
            },
            Verdict::Retry(_) if attempt <= self.handler.failure_policy().retries => {
                passage.retry(index);
                return Ok(false);
            }
            Verdict::Retry(reason) => (FailureKind::Retry, reason.to_owned()),
            Verdict::Reject(reason) => (FailureKind::Reject, reason.to_owned()),
        };
        self.metrics.failed(kind.label());
        let reason = self.attributed(DeadLetterReason::new(kind, message), attempt);
        if kind == FailureKind::Reject {
            // A rejection is not a failure of the handler: the handler works, and this is its decision.
            effects.dead.push((batch.offset(index), reason));
            self.breaker.succeeded(batch.topic_partition());
        } else {
            self.give_up(&batch, index, reason, effects)?;
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
        effects.output = effects.output.saturating_add(answer.footprint());
        effects.add(handler, batch, answer.stored, answer.emitted, counts);
    }

    fn is_retried_after_failure(&self, attempt: u32) -> bool {
        let treatment = self.handler.failure_policy();
        treatment.on_error == OnError::Retry && attempt <= treatment.retries
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
        let failures = self.breaker.gave_up(batch.topic_partition());
        let is_one_too_many = max_failures.is_some_and(|max| failures > max.get());
        // A dry run has no partition to halt: it reports every record.
        if self.observer.is_none() && (is_one_too_many || on_error == OnError::Stop) {
            let why = format!("it failed {failures} times in a row");
            return Err(self.halt(batch, i, &why, &reason));
        }
        if on_error == OnError::Skip {
            tracing::warn!(handler = self.handler.name(), %offset, %reason, "record skipped");
        } else {
            effects.dead.push((offset, reason));
        }
        Ok(())
    }

    /// Halts the partition before this batch. None of the effects of the batch has happened, so nothing is lost.
    fn halt(&mut self, batch: &Batch, i: usize, why: &str, reason: &DeadLetterReason) -> Undone {
        let (partition, offset) = (batch.topic_partition(), batch.offset(i));
        self.breaker.forget(partition);
        let handler = self.handler.name();
        let reason = format!("{why}, the last time at offset {offset}: {reason}");
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
