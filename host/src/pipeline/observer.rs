//! What a rehearsal sees of a link's work beyond its effects. In a daemon nobody watches.

use crate::{
    event::{Batch, Offset, Outcome, Verdict},
    telemetry::capture::LogCapture,
};

/// What came of handing a record in once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered(Outcome),
    /// The handler failed on it even alone, or answered with what cannot be carried out.
    Failed,
}

/// Notes of what a link does.
#[derive(Default)]
pub(super) struct Watch {
    lines: LogCapture,
    /// One a record and attempt, in their order.
    fates: Vec<(Offset, Fate)>,
}

impl Watch {
    pub(super) fn new(lines: LogCapture) -> Self {
        let fates = Vec::new();
        Self { lines, fates }
    }

    /// The call failed, and the batch is handed in again in halves: what it logged about its records comes again.
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
        self.fates.push((record, Fate::Answered(outcome)));
    }

    pub(super) fn failed(&mut self, record: Offset) {
        self.fates.push((record, Fate::Failed));
    }

    pub(super) fn take(&mut self) -> Vec<(Offset, Fate)> {
        std::mem::take(&mut self.fates)
    }
}
