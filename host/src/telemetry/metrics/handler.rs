//! The metrics of one handler.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use super::{Metrics, OfHandler, OfKind, OfOutcome, OfState};
use crate::event::Outcome;

/// The metrics of one handler, looked up once. Cheap to clone; make one a worker, not one a call.
#[derive(Clone)]
pub struct HandlerMetrics {
    metrics: Metrics,
    handler: String,
    calls: Counter,
    duration: Histogram,
    outcomes: [Counter; Outcome::ALL.len()],
    memory: Gauge,
    instances: Gauge,
    dead_letters: Counter,
}

impl HandlerMetrics {
    pub(super) fn new(metrics: &Metrics, name: &str) -> Self {
        let handler = || name.to_owned();
        let label = OfHandler { handler: handler() };
        let outcome = |outcome: Outcome| OfOutcome {
            handler: handler(),
            outcome: outcome.name(),
        };
        Self {
            metrics: metrics.clone(),
            handler: handler(),
            calls: metrics.calls.get_or_create_owned(&label),
            duration: metrics.duration.get_or_create_owned(&label),
            outcomes: Outcome::ALL.map(|of| metrics.events.get_or_create_owned(&outcome(of))),
            memory: metrics.memory.get_or_create_owned(&label),
            instances: metrics.instances.get_or_create_owned(&label),
            dead_letters: metrics.dead_letters.get_or_create_owned(&label),
        }
    }

    /// One call, which took this long.
    pub fn called(&self, duration: Duration) {
        self.calls.inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// It answered this for so many records.
    pub fn answered(&self, outcome: Outcome, records: u64) {
        self.outcomes[outcome as usize].inc_by(records);
    }

    /// So many more of its instances are alive.
    pub fn instances_changed(&self, by: i64) {
        self.instances.inc_by(by);
    }

    /// A call failed (`trap`, `timeout`, `memory`, `stack`, `output`, `invalid`), or a record was refused (`reject`),
    /// or retried in vain (`retry`).
    pub fn failed(&self, kind: &'static str) {
        let handler = self.handler.clone();
        let label = OfKind { handler, kind };
        self.metrics.errors.get_or_create(&label).inc();
    }

    /// So many of its records were dead-lettered.
    pub fn dead_lettered(&self, records: u64) {
        self.dead_letters.inc_by(records);
    }

    /// The linear memory of one of its instances changed by so many bytes.
    pub fn memory_changed(&self, bytes: i64) {
        self.memory.inc_by(bytes);
    }

    /// From now on it is in this state (`running`, `paused`, `stopped`, `refused`, `removed`), and in no other.
    pub fn in_state(&self, state: &'static str) {
        for known in STATES {
            let handler = self.handler.clone();
            let label = OfState {
                handler,
                state: known,
            };
            let is_in = i64::from(known == state);
            self.metrics.state.get_or_create(&label).set(is_in);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let outcome = |outcome: Outcome| (outcome.name(), self.outcomes[outcome as usize].get());
        Counts {
            calls: self.calls.get(),
            events: Outcome::ALL.into_iter().map(outcome).collect(),
            dead_letters: self.dead_letters.get(),
        }
    }
}

/// Every state that a handler may be in.
const STATES: [&str; 5] = ["running", "paused", "stopped", "refused", "removed"];

/// What one handler has done since the daemon's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Batches handed in, the halves of those that failed too.
    pub calls: u64,
    /// Records by what the handler answered for them.
    pub events: BTreeMap<&'static str, u64>,
    /// Records that went to the dead letters because of it.
    pub dead_letters: u64,
}
