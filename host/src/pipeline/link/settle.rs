//! What becomes of each record after a call: it goes on, is handed in again, is given up, or stops its partition.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{Link, Piece};
use crate::{
    event::{Batch, Verdict},
    pipeline::{
        effects::{DeadLetter, Effects, Kept},
        stop::{Halt, Undone},
    },
    plugin::{FailureKind, FailurePolicy, OnError},
};

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
