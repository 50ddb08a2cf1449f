//! The in-memory view of what handlers stored: append in batches, read in one order.
//!
//! The order does not depend on arrival, so it is the same after a restart and on any instance.
//! Each partition keeps its Eventos ascending by offset, and by `n` where several have one offset. An
//! Evento's *order time* is the largest timestamp up to it in its partition. The whole is the merge of
//! the partitions by (order time, partition, offset, n).
//!
//! It knows no broker, no handler and no socket.

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

use std::sync::{Arc, Mutex, MutexGuard};

pub use config::Config;
pub use cursor::{Cursor, NotACursor, Position};
pub use merge::Row;
pub use read::{Filter, Order, Progress, Quota, Scan, Within};
use state::State;

use crate::event::{Batch, Offset, Partition, ViewStart};

/// The store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    // A std mutex, not tokio's: it is held for microseconds, only ever for work in memory, and
    // never across an await.
    state: Arc<Mutex<State>>,
}

impl Store {
    /// An empty store with these bounds.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(config))),
        }
    }

    /// Appends, for each batch, the records with these indices (in any order, also more than
    /// once); all at once for whoever reads. The batches are of one partition: what the
    /// handlers of one step of the pipeline stored.
    ///
    /// The view of a partition ends where the handlers have got to: what it held from the first
    /// offset of these batches on is a redelivery, or of a topic that was deleted since, and goes first.
    /// So batches are given even if nothing of them is to be stored.
    ///
    /// # Panics
    /// If an index is out of range, names a tombstone, or if the batches are of several partitions.
    pub fn append(&self, appends: &[(&Batch, &[u32])]) {
        state::check(appends);
        self.lock().append(appends);
    }

    /// Takes out of the view of a partition what it holds from this offset on: it is to be handled again.
    pub fn rewind(&self, partition: Partition, to: Offset) {
        self.lock().truncate(partition, to.0);
    }

    /// Takes a partition out of the view: another instance has it now. A cursor keeps its place in it, for when it comes
    /// back.
    pub fn remove(&self, partition: Partition) {
        self.lock().remove(partition);
    }

    /// Begins to rebuild a partition, which is empty then: what is appended from now on is what was there before, from
    /// `start` on. Until [`Store::restored`] a cursor does not lose its place to what is not there yet.
    pub fn restore(&self, partition: Partition, start: ViewStart) {
        self.lock().restore(partition, start);
    }

    /// Says that a partition is rebuilt.
    pub fn restored(&self, partition: Partition) {
        self.lock().restored(partition);
    }

    /// Where the view of a partition begins, of which everything before `next` was handled: what
    /// [`Store::restore`] needs to build the same again.
    #[must_use]
    pub fn view_start(&self, partition: Partition, next: Offset) -> ViewStart {
        self.lock().view_start(partition, next)
    }

    /// The number of Eventos.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lock().events()
    }

    /// Bytes of memory, unused capacity included, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes() as u64
    }

    /// How many Eventos match, where that is known without looking through them: not by id, and by tipo only in
    /// all of the partitions.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> Option<u64> {
        let state = self.lock();
        let admits = |number| filter.within.admits(number);
        let all = state.partitions().all(|(number, _)| admits(number));
        match filter {
            Filter { id: Some(_), .. } => None,
            Filter {
                tipo: Some(tipo), ..
            } => all.then(|| state.count(tipo)),
            Filter { .. } => {
                let counted = state.partitions().filter(|&(number, _)| admits(number));
                Some(counted.map(|(_, partition)| partition.len() as u64).sum())
            }
        }
    }

    /// The value of the last Evento in the order that matches.
    #[must_use]
    pub fn latest(&self, filter: Filter) -> Option<Vec<u8>> {
        let mut scan = Scan::new(filter, Order::Desc, None);
        let (mut found, mut quota) = (None, Quota::values(1));
        let mut take = |row: Row<'_>| found = Some(row.value().to_vec());
        while scan.step(self, &mut quota, &mut take) == Progress::Paused {}
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("what is done under the lock was checked before, and does not panic")
    }
}
