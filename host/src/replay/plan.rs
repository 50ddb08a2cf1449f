//! Where a replay is to go back to, in every partition.

use std::collections::BTreeMap;

use super::{Fate, Rewound, Start};
use crate::{
    event::{Offset, Partition},
    kafka::Progress,
};

/// The partitions that are to go back, each to an offset. As JSON `{"0":42,"1":17}`.
pub type Targets = BTreeMap<Partition, Offset>;

/// Where each partition stands, and where it is to begin again.
pub struct Plan(Vec<(Progress, Offset)>);

impl Plan {
    /// From where the group stands.
    pub(super) fn new(progress: Vec<Progress>, start: Start) -> Self {
        let with_target = |progress: Progress| (progress, start.in_partition(&progress));
        Self(progress.into_iter().map(with_target).collect())
    }

    /// This partition alone; None if there is none such.
    pub(super) fn only(mut self, only: Partition) -> Option<Self> {
        self.0.retain(|(progress, _)| progress.partition == only);
        (!self.0.is_empty()).then_some(self)
    }

    /// Where each of its partitions is to go back to; where it stands, if there is nothing to go back for.
    #[must_use]
    pub fn targets(&self) -> Targets {
        let targets = self.0.iter();
        targets
            .map(|(progress, to)| (progress.partition, *to))
            .collect()
    }

    /// What would become of each, whoever has it.
    #[must_use]
    pub fn rehearsed(&self) -> Vec<Rewound> {
        let would = self.0.iter().map(|(progress, to)| Rewound {
            partition: progress.partition,
            fate: match *to < progress.next {
                true => Fate::WouldBeRewound(progress.next, *to),
                false => Fate::Unchanged(progress.next),
            },
        });
        would.collect()
    }
}
