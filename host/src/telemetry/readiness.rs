//! Whether the daemon is ready for work: it is once everything that it waits for has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// Named latches. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Readiness {
    // A std mutex: held for a look or a change, never across an await.
    latches: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Readiness {
    /// Waits for each of these.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let latches = names.into_iter().map(|name| (name, false)).collect();
        Self {
            latches: Arc::new(Mutex::new(latches)),
        }
    }

    /// Says whether one has come; it may go again. A name that was not waited for is from now on.
    pub fn set(&self, name: &'static str, ready: bool) {
        self.lock().insert(name, ready);
    }

    /// What is still waited for, by name ascending; empty when ready.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        let latches = self.lock();
        let pending = latches.iter().filter(|(_, ready)| !**ready);
        pending.map(|(&name, _)| name).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        self.latches.lock().expect("nothing under the lock panics")
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
