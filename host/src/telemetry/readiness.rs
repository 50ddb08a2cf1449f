//! Whether the daemon is ready for work: it is once everything that it waits for has happened.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// Named latches. Cheap to clone; all clones share the same latches.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Whether each latch is open. The lock is never held across an await.
    latches: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Readiness {
    /// Makes closed latches with these names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let latches = names.into_iter().map(|name| (name, false)).collect();
        Self {
            latches: Arc::new(Mutex::new(latches)),
        }
    }

    /// Opens or closes a latch. A latch that does not exist yet is added.
    pub fn set(&self, name: &'static str, ready: bool) {
        self.latches.lock().insert(name, ready);
    }

    /// Returns the names of the closed latches in ascending order; none if the daemon is ready.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        let latches = self.latches.lock();
        let pending = latches.iter().filter(|(_, ready)| !**ready);
        pending.map(|(&name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_nothing_is_waited_for() {
        let readiness = Readiness::new(["handlers", "group"]);
        assert_eq!(readiness.pending(), ["group", "handlers"]);
        readiness.set("group", true);
        readiness.clone().set("handlers", true);
        assert!(readiness.pending().is_empty());
        readiness.set("group", false);
        assert_eq!(readiness.pending(), ["group"]);
    }
}
