//! The partitions that a handler has halted, each with the reason, until an operator resumes them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::event::Partition;

/// The partitions that a handler has halted, each with the reason. They belong to one version of a handler: another
/// version tries them again.
#[derive(Debug, Default)]
pub struct HaltedPartitions(Mutex<BTreeMap<Partition, String>>);

impl HaltedPartitions {
    /// Halts a partition.
    pub fn halt(&self, partition: Partition, reason: String) {
        self.0.lock().insert(partition, reason);
    }

    /// Removes a partition that continues, or that was assigned to another member of the group.
    pub fn resume(&self, partition: Partition) {
        self.0.lock().remove(&partition);
    }

    /// Returns the partitions that are halted now, with the reasons.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Partition, String> {
        self.0.lock().clone()
    }
}
