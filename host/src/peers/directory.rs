//! What is known of the group: asked when it may have changed, and kept for a moment.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

use super::{Division, PeerUrl};
use crate::{
    assigned::Assigned,
    kafka::{Roll, Roster},
    telemetry::in_one_line,
};

/// How long an answer holds while there are others in the group. Alone it holds until the next rebalance, for nobody
/// can come to have a partition without one.
const HOLDS: Duration = Duration::from_secs(1);

/// How long it is not asked again after it did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Knows who has which partitions. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    assigned: Assigned,
    own_url: Option<PeerUrl>,
    /// Set once the broker is there.
    roster: OnceLock<Roster>,
    // A std mutex: held for a look or a change, never across an await.
    known: Mutex<Option<Known>>,
    /// Whoever holds it asks, the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

struct Known {
    division: Arc<Division>,
    /// The answer that it is from.
    roll: Option<Roll>,
    /// The state of `assigned` that it is of.
    changes: u64,
    holds_until: Option<Instant>,
}

impl Directory {
    pub(super) fn new(assigned: Assigned, own_url: Option<PeerUrl>) -> Self {
        Self {
            shared: Arc::new(Shared {
                assigned,
                own_url,
                roster: OnceLock::new(),
                known: Mutex::default(),
                asking: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// From now on this one is asked.
    pub(super) fn connect(&self, roster: Roster) {
        // It is connected once; a second time would change nothing.
        let _ = self.shared.roster.set(roster);
    }

    /// How the partitions are divided: as it was within the last second, or since the last rebalance.
    pub(super) async fn division(&self) -> Arc<Division> {
        let shared = &self.shared;
        let Some(roster) = shared.roster.get() else {
            let ours = shared.assigned.partitions();
            return Arc::new(Division::unknown(ours, "the broker has not answered yet"));
        };
        if let Some(division) = shared.fresh() {
            return division;
        }
        let _asking = shared.asking.lock().await;
        if let Some(division) = shared.fresh() {
            return division;
        }
        // Read before the question: what changes meanwhile makes the answer old.
        let changes = shared.assigned.changes();
        let answer = roster.look().await;
        shared.learn(changes, answer.map_err(|error| in_one_line(&error)))
    }
}

impl Shared {
    fn fresh(&self) -> Option<Arc<Division>> {
        let known = self.known();
        let known = known.as_ref()?;
        let holds = known.holds_until.is_none_or(|until| Instant::now() < until);
        let fresh = holds && known.changes == self.assigned.changes();
        fresh.then(|| Arc::clone(&known.division))
    }

    /// Without an answer, what was known before is the best guess: peers answer for what they have only.
    fn learn(&self, changes: u64, answer: Result<Roll, String>) -> Arc<Division> {
        let ours = self.assigned.partitions();
        let restoring = self.assigned.restoring();
        let own_url = self.own_url.as_ref();
        let mut known = self.known();
        let before = known.take().and_then(|known| known.roll);
        let (division, roll, holds) = match (answer, before) {
            (Ok(roll), _) => {
                let division = Division::new(ours, own_url, &roll, None);
                let holds = (!division.is_whole()).then_some(HOLDS);
                (division, Some(roll), holds)
            }
            (Err(error), Some(roll)) => {
                tracing::debug!(error, "the group is not known anew");
                let division = Division::new(ours, own_url, &roll, Some(&error));
                (division, Some(roll), Some(PAUSE))
            }
            (Err(error), None) => (Division::unknown(ours, &error), None, Some(PAUSE)),
        };
        let holds_until = holds.map(|holds| Instant::now() + holds);
        let division = Arc::new(Division {
            restoring,
            ..division
        });
        *known = Some(Known {
            division: Arc::clone(&division),
            roll,
            changes,
            holds_until,
        });
        division
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().expect("nothing under the lock panics")
    }
}
