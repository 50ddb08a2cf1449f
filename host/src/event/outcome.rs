//! What a handler answers: an outcome for each record, and the effects that it staged.

use super::{ColumnFault, RecordRef, Records, Texts};

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

/// An [`Outcome`] with what belongs to it.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// It goes on unchanged.
    Pass,
    /// It goes no further.
    Drop,
    /// These records go on in its place.
    Replace(Vec<RecordRef<'a>>),
    /// The reason of a transient failure.
    Retry(&'a str),
    /// The reason why it is dead-lettered.
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
    /// Where to.
    pub topic: String,
    /// For each record the index, in the batch, of the one that caused it.
    pub sources: Vec<u32>,
    /// What.
    pub records: Records,
}

impl Emission {
    /// Bytes in memory.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let own = size_of::<Self>() + self.topic.len();
        own + size_of_val(&self.sources[..]) + self.records.footprint()
    }
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
    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Drop,
        Self::Replace,
        Self::Retry,
        Self::Reject,
    ];

    /// Reads the number that stands for it in the WIT.
    #[must_use]
    pub fn from_kind(kind: u8) -> Option<Self> {
        Self::ALL.get(usize::from(kind)).copied()
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
    /// Bytes in memory.
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

    /// Lets `n` records pass.
    #[must_use]
    pub fn all_passing(n: usize) -> Self {
        Self {
            kinds: vec![0; n],
            ..Self::default()
        }
    }

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

    /// The verdict on each record, once checked.
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
