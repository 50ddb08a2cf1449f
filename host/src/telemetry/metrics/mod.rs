//! The counters, gauges and histograms at `GET /metrics`: every family, and nothing else, is here.
//!
//! Labels are partitions, handlers and words from short lists; never an id, of which there is no end.

mod handler;

use std::{
    fmt::Write,
    sync::{Arc, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

pub use self::handler::{Counts, HandlerMetrics};
use crate::event::Partition;

/// Every metric of the daemon. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    consumed: Family<OfPartition, Counter>,
    produced: Family<OfPartition, Counter>,
    lag: Family<OfPartition, Gauge>,
    calls: Family<OfHandler, Counter>,
    events: Family<OfOutcome, Counter>,
    duration: Family<OfHandler, Histogram, fn() -> Histogram>,
    errors: Family<OfKind, Counter>,
    memory: Family<OfHandler, Gauge>,
    instances: Family<OfHandler, Gauge>,
    state: Family<OfState, Gauge>,
    dead_letters: Family<OfHandler, Counter>,
    store_events: Gauge<u64, AtomicU64>,
    store_bytes: Gauge<u64, AtomicU64>,
    restore: Family<OfPartition, Gauge>,
    rebalances: Counter,
    refused: Family<OfPermission, Gauge>,
}

/// The label `handler` of records that were dead-lettered before any handler saw them.
const NO_HANDLER: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPartition {
    partition: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHandler {
    handler: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    handler: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    handler: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    handler: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPermission {
    operation: &'static str,
    resource: &'static str,
    name: String,
}

impl Metrics {
    /// The media type of [`Metrics::render`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            consumed: Family::default(),
            produced: Family::default(),
            lag: Family::default(),
            calls: Family::default(),
            events: Family::default(),
            duration: Family::new_with_constructor(durations),
            errors: Family::default(),
            memory: Family::default(),
            instances: Family::default(),
            state: Family::default(),
            dead_letters: Family::default(),
            store_events: Gauge::default(),
            store_bytes: Gauge::default(),
            restore: Family::default(),
            rebalances: Counter::default(),
            refused: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    /// The names are those here after `eventos_`, with the unit and a counter's `_total` after them.
    fn register(&self) -> Registry {
        let mut to = Registry::with_prefix("eventos");
        to.register(
            "consumed",
            "Records read from the topic",
            self.consumed.clone(),
        );
        to.register(
            "produced",
            "Eventos sent over HTTP and acknowledged by the broker",
            self.produced.clone(),
        );
        to.register(
            "consumer_lag",
            "Records between the end of the partition and what was read",
            self.lag.clone(),
        );
        to.register(
            "handler_calls",
            "Calls, of a batch each",
            self.calls.clone(),
        );
        to.register(
            "handler_events",
            "Records by what the handler answered",
            self.events.clone(),
        );
        let duration = self.duration.clone();
        to.register_with_unit(
            "handler_duration",
            "Time of one call",
            Unit::Seconds,
            duration,
        );
        to.register(
            "handler_errors",
            "Failures by their kind",
            self.errors.clone(),
        );
        let memory = self.memory.clone();
        to.register_with_unit(
            "handler_memory",
            "Linear memory of its instances",
            Unit::Bytes,
            memory,
        );
        to.register(
            "handler_instances",
            "Its instances: one a worker, and those that are ready for one",
            self.instances.clone(),
        );
        to.register(
            "handler_state",
            "1 for the state that the handler is in",
            self.state.clone(),
        );
        to.register(
            "dead_letters",
            "Records put into the dead-letter topic",
            self.dead_letters.clone(),
        );
        to.register(
            "store_events",
            "Eventos in the store",
            self.store_events.clone(),
        );
        let bytes = self.store_bytes.clone();
        to.register_with_unit("store", "Memory of the store", Unit::Bytes, bytes);
        to.register(
            "restore_records",
            "Records that are still to be replayed for the store, at most",
            self.restore.clone(),
        );
        to.register(
            "rebalances",
            "Changes of the partitions that are assigned",
            self.rebalances.clone(),
        );
        to.register(
            "refused",
            "1 for each permission that the broker refuses now",
            self.refused.clone(),
        );
        to
    }

    /// Records were read from a partition.
    pub fn consumed(&self, partition: Partition, records: u64) {
        self.consumed.get_or_create(&of(partition)).inc_by(records);
    }

    /// Eventos were sent to a partition and acknowledged.
    pub fn produced(&self, partition: Partition, records: u64) {
        self.produced.get_or_create(&of(partition)).inc_by(records);
    }

    /// So many records of a partition are still to be read.
    pub fn lag(&self, partition: Partition, records: i64) {
        self.lag.get_or_create(&of(partition)).set(records);
    }

    /// So many records of a partition are still to be replayed for the store.
    pub fn restoring(&self, partition: Partition, records: i64) {
        self.restore.get_or_create(&of(partition)).set(records);
    }

    /// A partition is another's now: its lag is no longer ours to tell, nor what is to be restored of it.
    pub fn revoked(&self, partition: Partition) {
        self.lag.remove(&of(partition));
        self.restore.remove(&of(partition));
    }

    /// Partitions were assigned or revoked.
    pub fn rebalanced(&self) {
        self.rebalances.inc();
    }

    /// Records that no handler saw, since they are no Eventos, were dead-lettered.
    pub fn unreadable(&self, records: u64) {
        let handler = NO_HANDLER.to_owned();
        self.dead_letters
            .get_or_create(&OfHandler { handler })
            .inc_by(records);
    }

    /// What the store holds.
    pub fn store(&self, events: u64, bytes: u64) {
        self.store_events.set(events);
        self.store_bytes.set(bytes);
    }

    /// Sets the permissions that the broker refuses now. Each is an ACL: operation, resource type and resource name.
    pub fn refused<'a>(
        &self,
        acls: impl IntoIterator<Item = (&'static str, &'static str, &'a str)>,
    ) {
        self.refused.clear();
        for (operation, resource, name) in acls {
            let of = OfPermission {
                operation,
                resource,
                name: name.to_owned(),
            };
            self.refused.get_or_create(&of).set(1);
        }
    }

    /// The metrics of one handler, which begin to be shown with this.
    #[must_use]
    pub fn handler(&self, name: &str) -> HandlerMetrics {
        HandlerMetrics::new(self, name)
    }

    /// All of it in the OpenMetrics text format, version 1.0.0, which Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            // No metric here refuses to be encoded, and a String takes everything.
            let _ = text.write_str("# EOF\n");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn of(partition: Partition) -> OfPartition {
    let partition = partition.0;
    OfPartition { partition }
}

/// From 10 microseconds to 10 seconds: a call of one Evento, and one far beyond its default timeout.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(10e-6, 4.0, 11))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Outcome;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let metrics = Metrics::new();
        let partition = Partition(3);
        metrics.consumed(partition, 2);
        metrics.produced(partition, 1);
        metrics.lag(partition, 7);
        metrics.restoring(partition, 9);
        metrics.rebalanced();
        metrics.unreadable(1);
        metrics.store(5, 600);
        metrics.refused([("Read", "group", "g")]);
        let handler = metrics.handler("store");
        handler.called(Duration::from_millis(1));
        handler.answered(Outcome::Pass, 256);
        handler.answered(Outcome::Reject, 1);
        handler.failed("trap");
        handler.dead_lettered(1);
        handler.memory_changed(65_536);
        handler.instances_changed(2);
        handler.in_state("running");
        let text = metrics.render();
        for line in [
            r#"eventos_consumed_total{partition="3"} 2"#,
            r#"eventos_produced_total{partition="3"} 1"#,
            r#"eventos_consumer_lag{partition="3"} 7"#,
            r#"eventos_restore_records{partition="3"} 9"#,
            r#"eventos_handler_calls_total{handler="store"} 1"#,
            r#"eventos_handler_events_total{handler="store",outcome="pass"} 256"#,
            r#"eventos_handler_events_total{handler="store",outcome="reject"} 1"#,
            r#"eventos_handler_duration_seconds_count{handler="store"} 1"#,
            r#"eventos_handler_errors_total{handler="store",kind="trap"} 1"#,
            r#"eventos_handler_memory_bytes{handler="store"} 65536"#,
            r#"eventos_handler_instances{handler="store"} 2"#,
            r#"eventos_handler_state{handler="store",state="running"} 1"#,
            r#"eventos_dead_letters_total{handler="none"} 1"#,
            r#"eventos_dead_letters_total{handler="store"} 1"#,
            "eventos_store_events 5",
            "eventos_store_bytes 600",
            "eventos_rebalances_total 1",
            r#"eventos_refused{operation="Read",resource="group",name="g"} 1"#,
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_revoked_partition_has_no_lag() {
        let metrics = Metrics::new();
        metrics.lag(Partition(0), 9);
        metrics.revoked(Partition(0));
        assert!(!metrics.render().contains("eventos_consumer_lag{"));
    }
}
