//! Rebuilding the view of partitions that were assigned: how far each has come, and when it counts as restored.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    event::{Offset, Partition, Timestamp, ViewStart},
    kafka::{Beginning, Stretch},
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// The latch that waits for all of it.
pub(super) const LATCH: &str = "restored";

/// How often the log tells how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(3);

/// After the replay, a partition may catch up to where it ended when it was assigned, for so long and no longer: what
/// was handled and shown before a kill, but not committed, is half a second's worth.
const CATCH_UP: Duration = Duration::from_secs(5);

/// One partition on its way, seen by the intake and its worker.
pub(super) struct Restore {
    pub(super) partition: Partition,
    stretch: Stretch,
    began: Instant,
    /// The offset before which all is done; [`NOT_BEGUN`] until the worker has made room in the store.
    done: AtomicI64,
    /// The offset before which everything was handed to the worker.
    handed: AtomicI64,
    /// What `done` has to reach.
    goal: AtomicI64,
}

const NOT_BEGUN: i64 = -1;

/// All that are on their way. Only the intake has it.
pub(super) struct Restores {
    store: Store,
    metrics: Metrics,
    readiness: Readiness,
    under_way: BTreeMap<Partition, UnderWay>,
    /// Those of which it could not be found out what to restore.
    unknown: BTreeSet<Partition>,
    told: Instant,
}

struct UnderWay {
    restore: Arc<Restore>,
    /// Since when what is done has come to the committed offset.
    replayed: Option<Instant>,
}

impl Restore {
    fn new(partition: Partition, stretch: Stretch) -> Self {
        Self {
            partition,
            stretch,
            began: Instant::now(),
            done: AtomicI64::new(NOT_BEGUN),
            handed: AtomicI64::new(stretch.from.0),
            goal: AtomicI64::new(stretch.end.0),
        }
    }

    /// Whether this offset was handled before: it is replayed for the view, and nothing else comes of it.
    pub(super) fn is_replayed(&self, offset: Offset) -> bool {
        offset < self.stretch.committed
    }

    /// Where the view that is rebuilt begins.
    pub(super) fn view_start(&self) -> ViewStart {
        self.stretch.view.unwrap_or(ViewStart {
            offset: self.stretch.from,
            time: Timestamp::NONE,
        })
    }

    /// The worker has made room in the store.
    pub(super) fn begin(&self) {
        self.advance(self.stretch.from);
    }

    /// Everything before `next` is done.
    pub(super) fn advance(&self, next: Offset) {
        self.done.store(next.0, Relaxed);
    }

    /// Everything before `next` was handed to the worker.
    pub(super) fn handed(&self, next: Offset) {
        self.handed.store(next.0, Relaxed);
    }

    /// There is no more in the partition for now: what was handed over is all.
    pub(super) fn ended(&self) {
        self.goal.fetch_min(self.handed.load(Relaxed), Relaxed);
    }

    fn done(&self) -> i64 {
        self.done.load(Relaxed)
    }

    /// Records that are still to be replayed, at most: offsets may have gaps.
    fn remaining(&self) -> i64 {
        self.stretch.committed.0 - self.done().max(self.stretch.from.0)
    }

    fn records(&self) -> i64 {
        self.stretch.committed.0 - self.stretch.from.0
    }
}

impl Restores {
    pub(super) fn new(store: Store, metrics: Metrics, readiness: Readiness) -> Self {
        Self {
            store,
            metrics,
            readiness,
            under_way: BTreeMap::new(),
            unknown: BTreeSet::new(),
            told: Instant::now(),
        }
    }

    /// A partition is ours now; answers with what its worker is to begin, if anything.
    pub(super) fn assigned(&mut self, assigned: &Beginning) -> Option<Arc<Restore>> {
        let partition = assigned.partition;
        let Some(stretch) = assigned.stretch else {
            self.unknown.insert(partition);
            return None;
        };
        let restore = Arc::new(Restore::new(partition, stretch));
        let (
            records,
            Stretch {
                from, committed, ..
            },
        ) = (restore.records(), stretch);
        if records > 0 {
            tracing::info!(%partition, %from, %committed, records, "restoring the view by replaying");
        }
        self.metrics.restoring(partition, records.max(0));
        let under_way = UnderWay {
            restore: Arc::clone(&restore),
            replayed: None,
        };
        self.under_way.insert(partition, under_way);
        Some(restore)
    }

    /// A partition is another's now.
    pub(super) fn revoked(&mut self, partition: Partition) {
        self.under_way.remove(&partition);
        self.unknown.remove(&partition);
    }

    /// Opens the latch once everything is there, and closes it when more is to come.
    pub(super) fn set_latch(&self) {
        let restored = self.under_way.is_empty() && self.unknown.is_empty();
        self.readiness.set(LATCH, restored);
    }

    /// Sees how far all of it has come; answers which partitions are restored now.
    pub(super) fn look(&mut self) -> Vec<Partition> {
        if self.under_way.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut restored = Vec::new();
        for (&partition, under_way) in &mut self.under_way {
            self.metrics
                .restoring(partition, under_way.restore.remaining().max(0));
            if under_way.is_over(now) {
                restored.push(partition);
            }
        }
        for &partition in &restored {
            self.finish(partition);
        }
        if now.duration_since(self.told) > TOLD_EVERY {
            self.told = now;
            self.tell();
        }
        restored
    }

    fn finish(&mut self, partition: Partition) {
        let Some(UnderWay { restore, .. }) = self.under_way.remove(&partition) else {
            return;
        };
        self.store.restored(partition);
        self.metrics.restoring(partition, 0);
        if restore.records() > 0 {
            let (records, took) = (restore.records(), restore.began.elapsed());
            tracing::info!(%partition, records, ?took, "the view is restored");
        }
        self.set_latch();
    }

    fn tell(&self) {
        for (partition, UnderWay { restore, .. }) in &self.under_way {
            let (total, remaining) = (restore.records(), restore.remaining());
            if remaining > 0 {
                let done = total - remaining;
                tracing::info!(%partition, done, total, "restoring the view");
            }
        }
    }
}

impl UnderWay {
    fn is_over(&mut self, now: Instant) -> bool {
        let done = self.restore.done();
        if done == NOT_BEGUN {
            return false;
        }
        if done >= self.restore.goal.load(Relaxed) {
            return true;
        }
        if done < self.restore.stretch.committed.0 {
            return false;
        }
        now.duration_since(*self.replayed.get_or_insert(now)) > CATCH_UP
    }
}
