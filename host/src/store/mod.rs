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
pub use read::{Filter, Order, Progress, Quota, Scan};
use state::State;

use crate::event::Batch;

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

    /// How many Eventos match, where that is known without looking through them: not by id.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> Option<u64> {
        let state = self.lock();
        match filter {
            Filter { id: Some(_), .. } => None,
            Filter {
                tipo: Some(tipo), ..
            } => Some(state.count(tipo)),
            Filter { .. } => Some(state.events()),
        }
    }

    /// The value of the last Evento in the order that has this id.
    #[must_use]
    pub fn latest(&self, id: &str) -> Option<Vec<u8>> {
        let filter = Filter {
            id: Some(id.to_owned()),
            ..Filter::default()
        };
        let mut scan = Scan::new(filter, Order::Desc, None);
        let (mut found, mut quota) = (None, Quota::values(1));
        while scan.step(self, &mut quota, |value| found = Some(value.to_vec())) == Progress::Paused
        {
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("what is done under the lock was checked before, and does not panic")
    }
}
