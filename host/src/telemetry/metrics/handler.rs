//! The metrics of one handler.

use std::{sync::atomic::AtomicU64, time::Duration};

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
    outcomes: [Counter; OUTCOMES.len()],
    memory: Gauge<u64, AtomicU64>,
    dead_letters: Counter,
}

/// What a call of a handler failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A WebAssembly trap, a panic among them.
    Trap,
    /// It ran over its time.
    Timeout,
    /// It asked for more memory than it may have.
    Memory,
    /// It refused the record.
    Reject,
}

/// What a handler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerState {
    /// It gets every batch.
    Running,
    /// It gets none until it is resumed.
    Paused,
    /// It cannot run.
    Failed,
}

const OUTCOMES: [Outcome; 5] = [
    Outcome::Pass,
    Outcome::Drop,
    Outcome::Replace,
    Outcome::Retry,
    Outcome::Reject,
];

const STATES: [HandlerState; 3] = [
    HandlerState::Running,
    HandlerState::Paused,
    HandlerState::Failed,
];

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
            outcomes: OUTCOMES.map(|of| metrics.events.get_or_create_owned(&outcome(of))),
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

    /// It failed.
    pub fn failed(&self, failure: Failure) {
        let (handler, kind) = (self.handler.clone(), failure.name());
        self.metrics
            .errors
            .get_or_create(&OfKind { handler, kind })
            .inc();
    }

    /// So many of its records were dead-lettered.
    pub fn dead_lettered(&self, records: u64) {
        self.dead_letters.inc_by(records);
    }

    /// Its instances have this much linear memory together.
    pub fn memory(&self, bytes: u64) {
        self.memory.set(bytes);
    }

    /// It is in this state from now on.
    pub fn state(&self, now: HandlerState) {
        for state in STATES {
            let handler = self.handler.clone();
            let label = OfState {
                handler,
                state: state.name(),
            };
            let is = i64::from(state == now);
            self.metrics.state.get_or_create(&label).set(is);
        }
    }
}

impl Failure {
    /// As it is called in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Reject => "reject",
        }
    }
}

impl HandlerState {
    /// As it is called in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
        }
    }
}
