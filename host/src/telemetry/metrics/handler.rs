//! The metrics of one handler.

use std::time::Duration;

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

    /// A call failed (`trap`, `timeout`, `memory`, `invalid`), or a record was refused (`reject`),
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

    /// It is in the chain, and gets every batch.
    pub fn running(&self) {
        let (handler, state) = (self.handler.clone(), "running");
        let label = OfState { handler, state };
        self.metrics.state.get_or_create(&label).set(1);
    }
}
