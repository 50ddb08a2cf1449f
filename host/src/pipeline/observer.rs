//! What a dry run observes of a handler's work beyond its effects. A daemon has no observer.

use crate::{
    event::{Batch, Offset, Outcome, Verdict},
    telemetry::capture::LogCapture,
};

/// The result of handing a record to the handler once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Answered(Outcome),
    /// The call failed with this record alone, or its answer could not be carried out.
    Failed,
}

/// Takes notes of what a step of the chain does.
#[derive(Default)]
pub(super) struct Observer {
    lines: LogCapture,
    /// One entry per record and attempt, in order.
    attempts: Vec<(Offset, Attempt)>,
}

impl Observer {
    pub(super) fn new(lines: LogCapture) -> Self {
        let attempts = Vec::new();
        Self { lines, attempts }
    }

    /// A call failed, and its batch is handed over again in halves: the handler will log about its records again.
    pub(super) fn halved(&self, batch: &Batch) {
        self.lines
            .forget(batch.offset(0)..=batch.offset(batch.len() - 1));
    }

    pub(super) fn answered(&mut self, record: Offset, verdict: &Verdict<'_>) {
        let outcome = match verdict {
            Verdict::Pass => Outcome::Pass,
            Verdict::Drop => Outcome::Drop,
            Verdict::Replace(_) => Outcome::Replace,
            Verdict::Retry(_) => Outcome::Retry,
            Verdict::Reject(_) => Outcome::Reject,
        };
        self.attempts.push((record, Attempt::Answered(outcome)));
    }

    pub(super) fn failed(&mut self, record: Offset) {
        self.attempts.push((record, Attempt::Failed));
    }

    pub(super) fn take(&mut self) -> Vec<(Offset, Attempt)> {
        std::mem::take(&mut self.attempts)
    }
}
