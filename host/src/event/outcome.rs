//! What a handler answers: an outcome for each record, and the effects that it staged.

use super::{ColumnFault, Records, Texts};

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on unchanged.
    Pass,
    /// It goes no further.
    Drop,
    /// Other records go on in its place.
    Replace,
    /// A transient failure: it is handed in again.
    Retry,
    /// It is dead-lettered.
    Reject,
}

/// The outcomes of a batch in columns, as a handler returned them; see `wit/types.wit`.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    pub(crate) kinds: Vec<u8>,
    pub(crate) reasons: Texts,
    pub(crate) replacement_ends: Vec<u32>,
    pub(crate) replacements: Records,
}

/// Records that a handler emitted to one topic.
#[derive(Clone, Debug)]
pub struct Emission {
    /// Where to.
    pub topic: String,
    /// For each record the index, in the batch, of the one that caused it.
    pub sources: Vec<u32>,
    /// What.
    pub records: Records,
}

/// All that one call of a handler comes to. Nothing of it has happened yet.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// One a record.
    pub outcomes: Outcomes,
    /// Indices of records to store, in the order of the calls.
    pub stored: Vec<u32>,
    /// What to produce, in the order of the calls.
    pub emitted: Vec<Emission>,
}

impl Outcome {
    /// Reads the number that stands for it in the WIT.
    #[must_use]
    pub fn from_kind(kind: u8) -> Option<Self> {
        Some(match kind {
            0 => Self::Pass,
            1 => Self::Drop,
            2 => Self::Replace,
            3 => Self::Retry,
            4 => Self::Reject,
            _ => return None,
        })
    }

    /// As it is called in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Replace => "replace",
            Self::Retry => "retry",
            Self::Reject => "reject",
        }
    }
}

/// Why outcomes do not answer a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutcomesFault {
    /// A column is not consistent.
    #[error(transparent)]
    Column(#[from] ColumnFault),
    /// A number that stands for no outcome.
    #[error("outcome {entry} is {kind}, which stands for none (0 to 4 do)")]
    Kind {
        /// The index of the record.
        entry: usize,
        /// What was there.
        kind: u8,
    },
}

impl Outcomes {
    /// Whether every record passed: the common case, in which the batch goes on as it is.
    #[must_use]
    pub fn all_pass(&self) -> bool {
        self.kinds.iter().all(|&kind| kind == 0)
    }

    /// The outcome of each record, once checked.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Outcome> {
        let read = |&kind: &u8| Outcome::from_kind(kind).expect("checked");
        self.kinds.iter().map(read)
    }

    /// Checks that these answer a batch of `n` records, so that the rest of the host may index without fear.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self, n: usize) -> Result<(), OutcomesFault> {
        if self.kinds.len() != n {
            let column = "kinds";
            let (expected, found) = (n, self.kinds.len());
            return Err(ColumnFault::Length {
                column,
                expected,
                found,
            }
            .into());
        }
        let (mut reasons, mut replaces) = (0, 0);
        for (entry, &kind) in self.kinds.iter().enumerate() {
            match Outcome::from_kind(kind) {
                Some(Outcome::Pass | Outcome::Drop) => {}
                Some(Outcome::Replace) => replaces += 1,
                Some(Outcome::Retry | Outcome::Reject) => reasons += 1,
                None => return Err(OutcomesFault::Kind { entry, kind }),
            }
        }
        self.reasons.check("reasons", reasons)?;
        self.replacements.check()?;
        super::columns::check_ends(
            "replacement-ends",
            &self.replacement_ends,
            replaces,
            self.replacements.len(),
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(kinds: &[u8]) -> Outcomes {
        Outcomes {
            kinds: kinds.to_vec(),
            ..Outcomes::default()
        }
    }

    #[test]
    fn one_outcome_a_record_is_asked_for() {
        assert_eq!(outcomes(&[0, 1, 0]).check(3), Ok(()));
        assert!(outcomes(&[0, 1]).check(3).is_err());
        assert!(outcomes(&[0; 4]).check(3).is_err());
        let (entry, kind) = (1, 5);
        assert_eq!(
            outcomes(&[0, 5, 0]).check(3),
            Err(OutcomesFault::Kind { entry, kind })
        );
    }

    #[test]
    fn reasons_and_replacements_are_counted() {
        let mut some = outcomes(&[3, 2]);
        assert!(some.check(2).is_err());
        some.reasons.push("later");
        assert!(some.check(2).is_err());
        some.replacement_ends.push(0);
        assert_eq!(some.check(2), Ok(()));
        some.replacement_ends[0] = 1;
        assert!(some.check(2).is_err());
    }
}
