//! Rewinding partitions, on the thread that polls: between two batches of each, after what is under way of it is done,
//! so that nothing old is committed over it.

use std::{collections::BTreeMap, time::Duration};

use super::{
    assignment::Lane,
    intake::{Intake, Lanes},
};
use crate::{
    event::{Offset, Partition},
    replay::{PartitionReport, RewindCommand, RewindOutcome},
    telemetry::in_one_line,
};

/// How long what is under way may take; polling rests meanwhile, within the patience of the group.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of a partition that another has, or nobody at the moment.
const NOT_OURS: &str =
    "this instance does not have it: another of the group has, or it is being assigned";

impl Intake {
    /// Rewinds the partitions that this instance owns, and replies with one report per partition.
    pub(super) fn rewind(
        &self,
        RewindCommand { targets, reply }: RewindCommand,
        lanes: &mut Lanes,
    ) {
        let ours = self.consumer.assignment();
        let (ours, others): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .partition(|(partition, _)| ours.contains(partition));
        let mut rewound = self.rewind_ours(&ours, lanes);
        let others = others.into_iter().map(|(partition, _)| partition);
        rewound.extend(PartitionReport::for_each(
            others,
            &RewindOutcome::elsewhere(NOT_OURS),
        ));
        rewound.sort_by_key(|one| one.partition);
        // The requester may be gone.
        let _ = reply.send(rewound);
    }

    fn rewind_ours(
        &self,
        targets: &[(Partition, Offset)],
        lanes: &mut Lanes,
    ) -> Vec<PartitionReport> {
        if targets.is_empty() {
            return Vec::new();
        }
        let partitions: Vec<_> = targets.iter().map(|(partition, _)| *partition).collect();
        // What was polled is handled before, or it would be passed over if its partition stays where it is.
        for &partition in &partitions {
            if let Some(lane) = lanes.0.get_mut(&partition) {
                self.hand_over(partition, lane);
            }
        }
        self.flight.drain(&partitions, PATIENCE);
        let committed = self.consumer.commit_stored(&partitions);
        let one = |&(partition, to): &(Partition, Offset)| {
            let outcome = match &committed {
                Ok(committed) => self.rewind_one(partition, to, committed, lanes),
                Err(error) => RewindOutcome::failed(in_one_line(error)),
            };
            PartitionReport::new(partition, outcome)
        };
        targets.iter().map(one).collect()
    }

    fn rewind_one(
        &self,
        partition: Partition,
        to: Offset,
        committed: &BTreeMap<Partition, Offset>,
        lanes: &mut Lanes,
    ) -> RewindOutcome {
        if !self.flight.drain(&[partition], Duration::ZERO) {
            let why = "its handlers are still at work; try again";
            return RewindOutcome::failed(why);
        }
        // Nothing committed: nothing handled yet.
        let from = committed.get(&partition).copied().unwrap_or(to);
        if to >= from {
            return RewindOutcome::unchanged(from);
        }
        // What is still to be replayed for the view lies before this, and would be passed over.
        if lanes.0.get(&partition).is_some_and(Lane::is_restoring) {
            let why = "its view is being restored; try again";
            return RewindOutcome::failed(why);
        }
        if let Some(lane) = lanes.0.remove(&partition)
            && lane.paused
        {
            self.consumer.resume(partition);
        }
        match self.consumer.rewind(partition, to) {
            Ok(()) => {
                self.workers.rewind(partition, to);
                tracing::info!(%partition, %from, %to, "partition rewound");
                RewindOutcome::Rewound { from, to }
            }
            Err(error) => RewindOutcome::failed(in_one_line(&error)),
        }
    }
}
