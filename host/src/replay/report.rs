//! The report of a replay: written by the daemon, and read by other instances and by the command line.

use serde::{Deserialize, Serialize};

use crate::event::{Offset, Partition};

/// The media type of a request from one instance to another, [`RewindTargets`](super::RewindTargets), and of its
/// response, an array of [`PartitionReport`]. A change of the format requires a new name.
pub const MEDIA_TYPE: &str = "application/vnd.eventos.replay-1+json";

/// The result of a replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Whether this was a dry run, in which nothing was rewound.
    pub dry_run: bool,
    /// Whether some partitions could not be rewound.
    pub partial: bool,
    /// Number of offsets that are processed again. There may be fewer records.
    pub records: i64,
    /// One report per partition.
    pub partitions: Vec<PartitionReport>,
}

/// The result of a replay in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// The partition.
    pub partition: Partition,
    /// Number of offsets that are processed again.
    pub records: i64,
    /// What was done.
    #[serde(flatten)]
    pub outcome: RewindOutcome,
}

/// What a replay did with a partition, or would do in a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum RewindOutcome {
    /// The partition was rewound.
    Rewound {
        /// Offset that would have been processed next.
        from: Offset,
        /// Offset that is processed next.
        to: Offset,
    },
    /// A dry run: the partition would be rewound.
    WouldBeRewound {
        /// Offset that is processed next.
        from: Offset,
        /// Offset that would be processed next.
        to: Offset,
    },
    /// The partition is already at or before the requested offset.
    Unchanged {
        /// Offset that is processed next.
        from: Offset,
        /// The same offset.
        to: Offset,
    },
    /// The owner of the partition could not be asked to rewind it.
    Elsewhere {
        /// The reason.
        why: String,
    },
    /// The owner of the partition failed to rewind it.
    Failed {
        /// The reason.
        why: String,
    },
}

impl ReplayReport {
    /// Summarizes the reports of all partitions.
    #[must_use]
    pub fn new(dry_run: bool, partitions: Vec<PartitionReport>) -> Self {
        Self {
            dry_run,
            partial: partitions.iter().any(PartitionReport::is_left_out),
            // A peer may have reported any offset, so the sum must not overflow.
            records: partitions
                .iter()
                .fold(0, |sum, one| one.records.saturating_add(sum)),
            partitions,
        }
    }
}

impl PartitionReport {
    /// Makes the report of a partition.
    #[must_use]
    pub fn new(partition: Partition, outcome: RewindOutcome) -> Self {
        let records = match outcome {
            RewindOutcome::Rewound { from, to } | RewindOutcome::WouldBeRewound { from, to } => {
                from.0.saturating_sub(to.0)
            }
            _ => 0,
        };
        Self {
            partition,
            records,
            outcome,
        }
    }

    /// Makes one report per partition, all with the same outcome.
    pub fn for_each(
        partitions: impl IntoIterator<Item = Partition>,
        outcome: &RewindOutcome,
    ) -> Vec<Self> {
        let one = |partition| Self::new(partition, outcome.clone());
        partitions.into_iter().map(one).collect()
    }

    /// Returns the outcome that a peer reports for a partition which it was asked to rewind to `target`, or `None` if
    /// no correct peer reports that.
    #[must_use]
    pub fn verified(self, target: Offset) -> Option<RewindOutcome> {
        let is_possible = match self.outcome {
            RewindOutcome::Rewound { from, to } => to == target && from > target,
            RewindOutcome::Unchanged { from, to } => from == to && to <= target,
            RewindOutcome::WouldBeRewound { .. } => false,
            RewindOutcome::Elsewhere { .. } | RewindOutcome::Failed { .. } => true,
        };
        is_possible.then_some(self.outcome)
    }

    fn is_left_out(&self) -> bool {
        matches!(
            self.outcome,
            RewindOutcome::Elsewhere { .. } | RewindOutcome::Failed { .. }
        )
    }
}

impl RewindOutcome {
    /// The partition stays at this offset.
    #[must_use]
    pub fn unchanged(at: Offset) -> Self {
        let (from, to) = (at, at);
        Self::Unchanged { from, to }
    }

    /// The owner of the partition failed to rewind it, for this reason.
    pub fn failed(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Failed { why }
    }

    /// The owner of the partition could not be asked, for this reason.
    pub fn elsewhere(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Elsewhere { why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewound(from: i64, to: i64) -> RewindOutcome {
        let (from, to) = (Offset(from), Offset(to));
        RewindOutcome::Rewound { from, to }
    }

    #[test]
    fn what_an_instance_writes_is_believed() {
        for outcome in [
            rewound(9, 7),
            RewindOutcome::unchanged(Offset(7)),
            RewindOutcome::unchanged(Offset(3)),
            RewindOutcome::elsewhere("gone"),
            RewindOutcome::failed("busy"),
        ] {
            let report = PartitionReport::new(Partition(1), outcome.clone());
            let json = serde_json::to_string(&report).expect("JSON");
            let read: PartitionReport = serde_json::from_str(&json).expect(&json);
            assert_eq!(read, report);
            assert_eq!(read.verified(Offset(7)), Some(outcome));
        }
    }

    #[test]
    fn what_none_would_write_is_not() {
        for rest in [
            // To another offset, forward, or without offsets.
            r#""status":"rewound","from":9,"to":0"#,
            r#""status":"rewound","from":7,"to":7"#,
            r#""status":"rewound","from":3,"to":7"#,
            r#""status":"rewound""#,
            // After the target, although it was to go back to that.
            r#""status":"unchanged","from":9,"to":9"#,
            r#""status":"unchanged","from":7,"to":6"#,
            // A peer is never asked for a dry run.
            r#""status":"would_be_rewound","from":9,"to":7"#,
            r#""status":"failed""#,
            r#""status":"failed","from":9,"to":7,"why":"x""#,
            r#""status":"elsewhere""#,
            r#""status":"lost","why":"x""#,
        ] {
            let json = format!(r#"{{"partition":1,"records":0,{rest}}}"#);
            let read: Option<PartitionReport> = serde_json::from_str(&json).ok();
            let verified = read.and_then(|report| report.verified(Offset(7)));
            assert_eq!(verified, None, "{json}");
        }
    }

    #[test]
    fn numbers_that_another_made_up_do_not_overflow() {
        let huge = |partition| PartitionReport::new(Partition(partition), rewound(i64::MAX, 0));
        let report = ReplayReport::new(false, vec![huge(0), huge(1)]);
        assert_eq!((report.records, report.partial), (i64::MAX, false));
    }
}
