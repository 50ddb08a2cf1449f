//! Which partitions a handler has stopped: those that do not go on until somebody has looked at why.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::event::Partition;

/// The partitions that a handler has stopped, each with the reason. They belong to one version of a handler: with
/// another one they are tried again.
#[derive(Debug, Default)]
pub struct Stops(Mutex<BTreeMap<Partition, String>>);

impl Stops {
    /// This partition stops for this reason.
    pub fn stop(&self, partition: Partition, reason: String) {
        self.lock().insert(partition, reason);
    }

    /// It goes on, or has gone to another member of the group.
    pub fn go_on(&self, partition: Partition) {
        self.lock().remove(&partition);
    }

    /// Those that are stopped now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Partition, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, String>> {
        // Each change to it is one insertion or removal, so after a panic it is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
