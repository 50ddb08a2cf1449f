//! What a handler returns: an outcome for each record, and the effects that it staged.

use super::{ColumnFault, RecordRef, Records, Texts};

/// What a handler decided about one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The record continues unchanged.
    Pass,
    /// The record goes no further.
    Drop,
    /// Other records continue in its place.
    Replace,
    /// A transient failure: the record is handled again.
    Retry,
    /// The record becomes a dead letter.
    Reject,
}

/// An [`Outcome`] with its data.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// The record continues unchanged.
    Pass,
    /// The record goes no further.
    Drop,
    /// These records continue in its place.
    Replace(Vec<RecordRef<'a>>),
    /// The reason of a transient failure.
    Retry(&'a str),
    /// The reason why the record becomes a dead letter.
    Reject(&'a str),
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
    /// The topic to produce to.
    pub topic: String,
    /// For each record, the index in the batch of the record that caused it.
    pub sources: Vec<u32>,
    /// The emitted records.
    pub records: Records,
}

impl Emission {
    /// Returns the memory in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let own = size_of::<Self>() + self.topic.len();
        own + size_of_val(&self.sources[..]) + self.records.footprint()
    }
}

/// Everything that one call of a handler returned and staged. None of the effects has happened yet.
#[derive(Clone, Debug, Default)]
pub struct HandlerOutput {
    /// One outcome per record.
    pub outcomes: Outcomes,
    /// Indices of the records to store, in the order of the calls.
    pub stored: Vec<u32>,
    /// Records to produce, in the order of the calls.
    pub emitted: Vec<Emission>,
}

impl HandlerOutput {
    /// Returns the memory in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let emitted: usize = self.emitted.iter().map(Emission::footprint).sum();
        self.outcomes.footprint() + size_of_val(&self.stored[..]) + emitted
    }
}

impl Outcome {
    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Drop,
        Self::Replace,
        Self::Retry,
        Self::Reject,
    ];

    /// Returns the outcome that a number in the WIT stands for.
    #[must_use]
    pub fn from_kind(kind: u8) -> Option<Self> {
        Self::ALL.get(usize::from(kind)).copied()
    }

    /// Returns the name of the outcome in metrics and logs.
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

/// A fault in the outcomes that a handler returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutcomesFault {
    /// A column is inconsistent.
    #[error(transparent)]
    Column(#[from] ColumnFault),
    /// A number that does not stand for an outcome.
    #[error("outcome {entry} is {kind}; expected 0 to 4")]
    Kind {
        /// Index of the record.
        entry: usize,
        /// The number that the handler returned.
        kind: u8,
    },
}

impl Outcomes {
    /// Returns the memory in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let Self {
            kinds,
            reasons,
            replacement_ends,
            replacements,
        } = self;
        let reasons = reasons.bytes.len() + size_of_val(&reasons.ends[..]);
        kinds.len() + reasons + size_of_val(&replacement_ends[..]) + replacements.footprint()
    }

    /// Returns outcomes that let `n` records pass.
    #[must_use]
    pub fn all_passing(n: usize) -> Self {
        Self {
            kinds: vec![0; n],
            ..Self::default()
        }
    }

    /// Returns whether every record passed, so that the batch can continue as it is.
    #[must_use]
    pub fn all_pass(&self) -> bool {
        self.kinds.iter().all(|&kind| kind == 0)
    }

    /// Returns the outcome of each record. The outcomes must have been checked.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Outcome> {
        let read = |&kind: &u8| Outcome::from_kind(kind).expect("checked");
        self.kinds.iter().map(read)
    }

    /// Returns the verdict on each record. The outcomes must have been checked.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict<'_>> {
        let (mut reason, mut replaced, mut replacement) = (0, 0, 0);
        self.iter().map(move |outcome| {
            let mut next_reason = || {
                reason += 1;
                self.reasons.get(reason - 1)
            };
            match outcome {
                Outcome::Pass => Verdict::Pass,
                Outcome::Drop => Verdict::Drop,
                Outcome::Retry => Verdict::Retry(next_reason()),
                Outcome::Reject => Verdict::Reject(next_reason()),
                Outcome::Replace => {
                    let first = std::mem::replace(
                        &mut replacement,
                        self.replacement_ends[replaced] as usize,
                    );
                    replaced += 1;
                    let records = first..replacement;
                    Verdict::Replace(records.map(|i| self.replacements.get(i)).collect())
                }
            }
        })
    }

    /// Checks that there is a valid outcome for each of `n` records, so that later code can index without panicking.
    ///
    /// # Errors
    /// Returns the first fault found.
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
    use crate::event::Timestamp;

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
    fn each_record_gets_its_own_reason_or_replacements() {
        let mut some = outcomes(&[3, 2, 0, 2, 4]);
        some.reasons.push("later");
        some.reasons.push("never");
        for value in ["a", "b"] {
            let value = Some(value.as_bytes());
            some.replacements.push(None, value, [], Timestamp::NONE, 0);
        }
        some.replacement_ends = vec![0, 2];
        assert_eq!(some.check(5), Ok(()));
        let read = |verdict: Verdict<'_>| match verdict {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Drop => "drop".to_owned(),
            Verdict::Replace(by) => by.iter().fold("by".to_owned(), |all, record| {
                let value = record.value.unwrap_or_default();
                all + " " + &String::from_utf8_lossy(value)
            }),
            Verdict::Retry(reason) => format!("retry {reason}"),
            Verdict::Reject(reason) => format!("reject {reason}"),
        };
        let verdicts: Vec<_> = some.verdicts().map(read).collect();
        assert_eq!(
            verdicts,
            ["retry later", "by", "pass", "by a b", "reject never"]
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
