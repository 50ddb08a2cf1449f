//! Rewinding partitions, on the thread that polls: between two batches of a partition, and after what is in flight of it is
//! done, so that no older offset is committed over the new one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    assignment::{Assignment, Assignments, wait_until_idle},
    worker_pool::Workers,
};
use crate::{
    event::{Offset, TopicPartition},
    kafka::Consumer,
    replay::{PartitionReport, RewindOutcome},
    telemetry::in_one_line,
};

/// How long what is in flight may take. Nothing is polled meanwhile, which the group tolerates for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a partition that is not assigned to this daemon was not rewound.
const NOT_ASSIGNED: &str = "the partition is not assigned to this instance: another one has it, or a rebalance is in progress";

/// What it takes to rewind partitions.
pub(super) struct Rewinder<'a> {
    pub(super) consumer: &'a Arc<Consumer>,
    pub(super) workers: &'a Workers,
    pub(super) assignments: &'a Assignments,
}

impl Rewinder<'_> {
    /// Rewinds each of these partitions to an offset. What was polled of them has been handed over. Returns one report
    /// per partition.
    pub(super) fn rewind(&self, targets: &mut [(&mut Assignment, Offset)]) -> Vec<PartitionReport> {
        if targets.is_empty() {
            return Vec::new();
        }
        let states = targets.iter().map(|(one, _)| Arc::clone(one.state()));
        let states: Vec<_> = states.collect();
        wait_until_idle(&states, PATIENCE);
        let partitions = states.iter().map(|state| state.topic_partition().clone());
        let partitions: Vec<_> = partitions.collect();
        let committed = self.consumer.commit_stored(&partitions);
        let reports = targets.iter_mut().map(|(assignment, to)| {
            let partition = assignment.topic_partition().partition;
            let outcome = match &committed {
                Ok(committed) => self.rewind_one(assignment, *to, committed),
                Err(error) => RewindOutcome::failed(in_one_line(error)),
            };
            PartitionReport::new(partition, outcome)
        });
        reports.collect()
    }

    fn rewind_one(
        &self,
        assignment: &mut Assignment,
        to: Offset,
        committed: &BTreeMap<TopicPartition, Offset>,
    ) -> RewindOutcome {
        if !wait_until_idle(&[Arc::clone(assignment.state())], Duration::ZERO) {
            let why = "its handlers are still working on a batch; try again";
            return RewindOutcome::failed(why);
        }
        let partition = assignment.topic_partition().clone();
        // Where nothing is committed, nothing has been handled yet.
        let from = committed.get(&partition).copied().unwrap_or(to);
        if to >= from {
            return RewindOutcome::unchanged(from);
        }
        // The records that are still to be replayed for the view lie before the committed offset, and would be skipped.
        if assignment.view.restore().is_some() {
            let why = "its view is being restored; try again";
            return RewindOutcome::failed(why);
        }
        if assignment.paused {
            assignment.paused = false;
            self.consumer.resume(&partition);
        }
        if let Err(error) = self.consumer.rewind(&partition, to) {
            return RewindOutcome::failed(in_one_line(&error));
        }
        assignment.rewind(self.assignments.assign(&partition), to);
        tracing::info!(%partition, %from, %to, "partition rewound");
        self.workers.rewind(partition, to);
        RewindOutcome::Rewound { from, to }
    }
}

/// The outcome for a partition that is not assigned to this daemon.
pub(super) fn not_assigned() -> RewindOutcome {
    RewindOutcome::Elsewhere {
        why: NOT_ASSIGNED.to_owned(),
    }
}
