//! The metrics of one handler.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use super::{HandlerLabel, KindLabel, Metrics, OutcomeLabel, StateLabel};
use crate::event::Outcome;

/// The metrics of one handler, looked up once. Create one per worker, not one per call.
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
        let label = HandlerLabel { handler: handler() };
        let outcome = |outcome: Outcome| OutcomeLabel {
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

    /// Counts one call, which took `duration`.
    pub fn called(&self, duration: Duration) {
        self.calls.inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts the records that got this outcome.
    pub fn answered(&self, outcome: Outcome, records: u64) {
        self.outcomes[outcome as usize].inc_by(records);
    }

    /// Changes the number of its live instances.
    pub fn instances_changed(&self, by: i64) {
        self.instances.inc_by(by);
    }

    /// Counts a call that failed with a single record (`trap`, `timeout`, `memory`, `stack`, `output`, `invalid`), a rejected record
    /// (`reject`), or a record whose retries were used up (`retry`).
    pub fn failed(&self, kind: &'static str) {
        let handler = self.handler.clone();
        let label = KindLabel { handler, kind };
        self.metrics.errors.get_or_create(&label).inc();
    }

    /// Counts its records that became dead letters.
    pub fn dead_lettered(&self, records: u64) {
        self.dead_letters.inc_by(records);
    }

    /// Changes the linear memory of its instances.
    pub fn memory_changed(&self, bytes: i64) {
        self.memory.inc_by(bytes);
    }

    /// Sets its state (`loading`, `running`, `paused`, `stopped`, `refused`, `missing`, `removed`), and clears all others.
    pub fn set_state(&self, state: &'static str) {
        for known in STATES {
            let handler = self.handler.clone();
            let label = StateLabel {
                handler,
                state: known,
            };
            let is_in = i64::from(known == state);
            self.metrics.state.get_or_create(&label).set(is_in);
        }
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> HandlerCounts {
        let outcome = |outcome: Outcome| (outcome.name(), self.outcomes[outcome as usize].get());
        HandlerCounts {
            calls: self.calls.get(),
            events: Outcome::ALL.into_iter().map(outcome).collect(),
            dead_letters: self.dead_letters.get(),
        }
    }
}

/// Every state that a handler may be in.
const STATES: [&str; 7] = [
    "loading", "running", "paused", "stopped", "refused", "missing", "removed",
];

/// What a handler has done since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HandlerCounts {
    /// Number of calls, including those for the halves of failed batches.
    pub calls: u64,
    /// Number of records by outcome.
    pub events: BTreeMap<&'static str, u64>,
    /// Number of its records that became dead letters.
    pub dead_letters: u64,
}
