//! The partitions that are assigned to this daemon, as the pipeline publishes them to the rest of it.

use serde::Serialize;

use super::{Offset, Partition, Partitions, TopicPartition};

/// How far an assignment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentPhase {
    /// The partition is assigned to this daemon.
    Active,
    /// The partition is being given up: the batches that have begun are finished, and no other batch begins.
    Leaving,
    /// The partition has been given up: nothing of this assignment may be committed any more.
    Revoked,
}

/// The state of an assigned partition, as `GET /partitions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The partition.
    #[serde(flatten)]
    pub topic_partition: TopicPartition,
    /// How far its assignment has come.
    pub phase: AssignmentPhase,
    /// Whether fetching is paused, because too much is in flight.
    pub paused: bool,
    /// The name of the handler that halted the partition, if one did.
    pub halted: Option<String>,
    /// Whether the view of the partition is still being restored.
    pub restoring: bool,
    /// The number of the assignment: each has a higher one than those before it.
    pub generation: u64,
    /// The number of batches that are handed to the worker and not finished.
    pub in_flight: usize,
    /// The offset of the next record to consume, if the broker has said where the partition begins.
    pub position: Option<Offset>,
    /// The offset that the group has committed, as far as this daemon knows.
    pub committed: Option<Offset>,
    /// The number of records from the last handled one to the end of the partition, if known.
    pub lag: Option<i64>,
}

/// The partitions that are assigned to this daemon at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignedPartitions {
    /// One status per assigned partition, ordered by topic and partition.
    pub statuses: Vec<PartitionStatus>,
    /// How often the assignment has changed. A rebalance that leaves the partitions of this daemon as they are counts too.
    pub changes: u64,
}

impl AssignedPartitions {
    /// Returns the numbers of the partitions.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.numbers(|_| true)
    }

    /// Returns the numbers of the partitions whose view is still being restored.
    #[must_use]
    pub fn restoring(&self) -> Partitions {
        self.numbers(|status| status.restoring)
    }

    fn numbers(&self, wanted: impl Fn(&PartitionStatus) -> bool) -> Partitions {
        let wanted = self.statuses.iter().filter(|status| wanted(status));
        let number = |status: &PartitionStatus| -> Partition { status.topic_partition.partition };
        wanted.map(number).collect()
    }
}
