//! What a handler answers.

use crate::Record;
use crate::bindings::Outcomes;
use crate::columns::end_of;

/// What becomes of an Evento.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on to the next handler unchanged.
    Pass,
    /// It goes no further.
    Drop,
    /// These go on in its place, in this order; none is as good as [`Outcome::Drop`]. Each value has to be an
    /// Evento, or null.
    Replace(Vec<Record>),
    /// Something failed that may well work later: it is handed in again. What was stored and emitted on its behalf
    /// does not count. The text says why.
    Retry(String),
    /// It goes to the dead-letter topic with this reason. What was stored and emitted on its behalf does not count.
    Reject(String),
}

impl Outcome {
    /// [`Outcome::Replace`], of anything that yields records.
    pub fn replace(records: impl IntoIterator<Item = Record>) -> Self {
        Self::Replace(records.into_iter().collect())
    }

    /// [`Outcome::Retry`], of any text.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }

    /// [`Outcome::Reject`], of any text.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }
}

impl Outcomes {
    pub(crate) fn with_capacity(records: usize) -> Self {
        Self {
            kinds: Vec::with_capacity(records),
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Pass => 0,
            Outcome::Drop => 1,
            Outcome::Replace(records) => {
                for record in &records {
                    self.replacements.push(record);
                }
                self.replacement_ends.push(end_of(&self.replacements.flags));
                2
            }
            Outcome::Retry(reason) => {
                self.reasons.push(&reason);
                3
            }
            Outcome::Reject(reason) => {
                self.reasons.push(&reason);
                4
            }
        };
        self.kinds.push(kind);
    }
}
