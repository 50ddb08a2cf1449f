//! The plan of a replay: the offset that each partition is rewound to.

use std::collections::BTreeMap;

use super::{PartitionReport, ReplayStart, RewindOutcome};
use crate::{
    event::{Offset, Partition},
    kafka::GroupPosition,
};

/// The partitions to rewind, each with the offset to rewind it to. As JSON: `{"0":42,"1":17}`.
pub type RewindTargets = BTreeMap<Partition, Offset>;

/// The current position of each partition, and the offset to rewind it to.
pub struct ReplayPlan(Vec<(GroupPosition, Offset)>);

impl ReplayPlan {
    /// Plans a replay from `start` for a group with these positions.
    pub(super) fn new(positions: Vec<GroupPosition>, start: ReplayStart) -> Self {
        let with_target = |position: GroupPosition| (position, start.in_partition(&position));
        Self(positions.into_iter().map(with_target).collect())
    }

    /// Restricts the plan to one partition. Returns `None` if the topic lacks it.
    pub(super) fn only(mut self, only: Partition) -> Option<Self> {
        self.0.retain(|(position, _)| position.partition == only);
        (!self.0.is_empty()).then_some(self)
    }

    /// Returns the target of each partition. A partition that needs no rewind has its current position as its target.
    #[must_use]
    pub fn targets(&self) -> RewindTargets {
        let targets = self.0.iter();
        targets
            .map(|(position, to)| (position.partition, *to))
            .collect()
    }

    /// Returns the reports of a dry run.
    #[must_use]
    pub fn dry_run(&self) -> Vec<PartitionReport> {
        let reports = self.0.iter().map(|&(position, to)| {
            let from = position.next;
            let outcome = match to < from {
                true => RewindOutcome::WouldBeRewound { from, to },
                false => RewindOutcome::unchanged(from),
            };
            PartitionReport::new(position.partition, outcome)
        });
        reports.collect()
    }
}
