//! The outcome that a handler returns for each Evento.

use crate::{Record, bindings::Outcomes, columns::end_of};

/// The result of handling one Evento, which decides what happens to it next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Passes the Evento on to the next handler unchanged.
    Pass,
    /// Ends the processing of the Evento.
    Drop,
    /// Passes these records on to the next handler instead, in this order. An empty list has the same effect as
    /// [`Outcome::Drop`]. Each value must be a valid Evento or null.
    Replace(Vec<Record>),
    /// Asks the daemon to call the handler with this Evento again, for a transient failure with this reason. What
    /// the handler stored and emitted on its behalf is discarded.
    Retry(String),
    /// Sends the Evento to the dead-letter topic with this reason. What the handler stored and emitted on its behalf
    /// is discarded.
    Reject(String),
}

impl Outcome {
    /// Returns [`Outcome::Replace`] with these records.
    pub fn replace(records: impl IntoIterator<Item = Record>) -> Self {
        Self::Replace(records.into_iter().collect())
    }

    /// Returns [`Outcome::Retry`] with this reason.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }

    /// Returns [`Outcome::Reject`] with this reason.
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
