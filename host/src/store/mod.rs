//! The in-memory view of what handlers stored: appended in batches, read in one order.
//!
//! The order does not depend on arrival, so it is the same after a restart and on any instance. Each partition keeps
//! its Eventos in ascending order of offset, and of `n` where several have the same offset. The *order time* of an
//! Evento is the largest timestamp up to it in its partition; timestamps of more than an hour in the future do not count.
//! The view is the merge of the partitions by (order time, partition, offset, n).
//!
//! This module knows nothing about brokers, handlers or sockets.

mod config;
mod cursor;
mod merge;
mod partition;
mod read;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod tipos;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

pub use config::Config;
pub use cursor::{Cursor, NotACursor, Position};
pub use merge::Row;
pub use read::{Filter, Order, PartitionFilter, Progress, Quota, Scan};
use state::State;

use crate::event::{Batch, Offset, TopicPartition, ViewStart};

/// The store. Clones share one view.
#[derive(Clone)]
pub struct Store {
    // Not tokio's mutex: it is held for microseconds, only for work in memory, and never across an await.
    state: Arc<Mutex<State>>,
}

impl Store {
    /// Creates an empty store with these bounds.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(config))),
        }
    }

    /// Appends the records with the given indices of each batch; an index may occur in any order and more than once.
    /// Readers see all of them at once. The batches belong to one partition: what the handlers stored in one step of
    /// the pipeline.
    ///
    /// The view of a partition ends where the handlers have got to. What it held from the first offset of these
    /// batches on was either redelivered or belongs to a topic that was deleted since, and is removed first. So
    /// batches are passed in even if none of their records is stored.
    ///
    /// # Panics
    /// Panics if an index is out of range or names a tombstone, or if the batches belong to several partitions.
    pub fn append(&self, appends: &[(&Batch, &[u32])]) {
        state::check(appends);
        self.lock().append(appends);
    }

    /// Removes what the view of a partition holds from offset `to` on, because it is going to be handled again.
    pub fn rewind(&self, partition: &TopicPartition, to: Offset) {
        self.lock().truncate(partition, to.0);
    }

    /// Removes a partition from the view, because another instance owns it now. Cursors keep their place in it, in
    /// case it comes back.
    pub fn remove(&self, partition: &TopicPartition) {
        self.lock().remove(partition);
    }

    /// Empties a partition and begins to rebuild it: what is appended next was there before, from `start` on. Until
    /// [`Store::restored`], cursors do not lose their place to Eventos that are not there yet.
    pub fn restore(&self, partition: &TopicPartition, start: ViewStart) {
        self.lock().restore(partition, start);
    }

    /// Marks a partition as rebuilt.
    pub fn restored(&self, partition: &TopicPartition) {
        self.lock().restored(partition);
    }

    /// Returns where the view of a partition begins if everything before `next` was handled: what [`Store::restore`]
    /// needs to build the same view again.
    #[must_use]
    pub fn view_start(&self, partition: &TopicPartition, next: Offset) -> ViewStart {
        self.lock().view_start(partition, next)
    }

    /// Returns the number of Eventos.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lock().events()
    }

    /// Returns the approximate memory in bytes, including unused capacity.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes() as u64
    }

    /// Returns how many Eventos match, if that is known without a search: never by id, and by tipo only across all
    /// partitions.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> Option<u64> {
        let state = self.lock();
        let admits = |key: &TopicPartition| filter.within.admits(key.partition);
        let all = state.partitions().all(|(key, _)| admits(key));
        match filter {
            Filter { id: Some(_), .. } => None,
            Filter {
                tipo: Some(tipo), ..
            } => all.then(|| state.count(tipo)),
            Filter { .. } => {
                let counted = state.partitions().filter(|&(key, _)| admits(key));
                Some(counted.map(|(_, partition)| partition.len() as u64).sum())
            }
        }
    }

    /// Returns the value of the last matching Evento in the order.
    #[must_use]
    pub fn latest(&self, filter: Filter) -> Option<Vec<u8>> {
        let mut scan = Scan::new(filter, Order::Desc, None);
        let (mut found, mut quota) = (None, Quota::values(1));
        let mut take = |row: Row<'_>| found = Some(row.value().to_vec());
        while scan.step(self, &mut quota, &mut take) == Progress::Paused {}
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
