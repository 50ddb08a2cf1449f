//! Looks up who owns which partitions: the group is described when its assignment may have changed, and the result is
//! cached.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{AssignedWatch, Ownership, PeerUrl};
use crate::{
    kafka::{GroupClient, GroupDescription},
    telemetry::in_one_line,
};

/// How long a description of the group is cached while the group has other members. An instance that owns all
/// partitions keeps it until the next rebalance: no partition can move without one.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// Pause after a request that the broker did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Knows the owners of the partitions. Cheap to clone; all clones share one cache.
#[derive(Clone)]
pub(super) struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    assigned: AssignedWatch,
    own_url: Option<PeerUrl>,
    /// Set once the broker has answered for the first time.
    group: OnceLock<GroupClient>,
    /// Never held across an await.
    cache: Mutex<Option<Cached>>,
    /// Held during a request to the broker, so that concurrent lookups share its answer.
    request: tokio::sync::Mutex<()>,
}

struct Cached {
    ownership: Arc<Ownership>,
    /// The latest description of the group.
    group: Option<GroupDescription>,
    /// State of `assigned` when the ownership was derived.
    changes: u64,
    /// `None` if it is valid until the next rebalance.
    valid_until: Option<Instant>,
}

impl Directory {
    pub(super) fn new(assigned: AssignedWatch, own_url: Option<PeerUrl>) -> Self {
        Self {
            shared: Arc::new(Shared {
                assigned,
                own_url,
                group: OnceLock::new(),
                cache: Mutex::default(),
                request: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Sets the client that describes the group from now on. Only the first call has an effect.
    pub(super) fn connect(&self, group: GroupClient) {
        let _ = self.shared.group.set(group);
    }

    /// Returns the current owners, which are at most a second old or of the latest rebalance.
    pub(super) async fn ownership(&self) -> Arc<Ownership> {
        let shared = &self.shared;
        let Some(group) = shared.group.get() else {
            let ours = shared.assigned.borrow().partitions();
            return Arc::new(Ownership::unknown(ours, "the broker has not answered yet"));
        };
        if let Some(ownership) = shared.cached() {
            return ownership;
        }
        let _request = shared.request.lock().await;
        if let Some(ownership) = shared.cached() {
            return ownership;
        }
        // Read before the request, so that a change during the request makes its answer outdated.
        let changes = shared.assigned.borrow().changes;
        let answer = group.describe().await;
        shared.update(changes, answer.map_err(|error| in_one_line(&error)))
    }
}

impl Shared {
    fn cached(&self) -> Option<Arc<Ownership>> {
        let cache = self.cache.lock();
        let cached = cache.as_ref()?;
        let is_valid = cached
            .valid_until
            .is_none_or(|until| Instant::now() < until)
            && cached.changes == self.assigned.borrow().changes;
        is_valid.then(|| Arc::clone(&cached.ownership))
    }

    /// Derives the owners from the answer of the broker. Without one, the previous description is the best guess: a
    /// peer responds only for the partitions that it really owns.
    fn update(&self, changes: u64, answer: Result<GroupDescription, String>) -> Arc<Ownership> {
        let assigned = Arc::clone(&self.assigned.borrow());
        let (ours, restoring) = (assigned.partitions(), assigned.restoring());
        let own_url = self.own_url.as_ref();
        let mut cache = self.cache.lock();
        let previous = cache.take().and_then(|cached| cached.group);
        let (ownership, group, valid_for) = match (answer, previous) {
            (Ok(group), _) => {
                let ownership = Ownership::new(ours, own_url, &group, None);
                let valid_for = (!ownership.is_whole()).then_some(CACHED_FOR);
                (ownership, Some(group), valid_for)
            }
            (Err(error), Some(group)) => {
                tracing::debug!(
                    error,
                    "cannot describe the group; using the previous description"
                );
                let ownership = Ownership::new(ours, own_url, &group, Some(&error));
                (ownership, Some(group), Some(RETRY_AFTER))
            }
            (Err(error), None) => (Ownership::unknown(ours, &error), None, Some(RETRY_AFTER)),
        };
        let ownership = Arc::new(Ownership {
            restoring,
            ..ownership
        });
        *cache = Some(Cached {
            ownership: Arc::clone(&ownership),
            group,
            changes,
            valid_until: valid_for.map(|time| Instant::now() + time),
        });
        ownership
    }
}
