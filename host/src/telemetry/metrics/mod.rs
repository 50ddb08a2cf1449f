//! The counters, gauges and histograms at `GET /metrics`. All metric families are declared here.
//!
//! Label values are partitions, handlers and words from short lists, but never ids, whose number is unlimited.

mod exposition;
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

pub use self::{
    exposition::MetricsFormat,
    handler::{HandlerCounts, HandlerMetrics},
};
use crate::event::Partition;

/// Every metric of the daemon. Clones share the same counts.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    consumed: Family<PartitionLabel, Counter>,
    produced: Family<PartitionLabel, Counter>,
    send_refused: Family<ReasonLabel, Counter>,
    lag: Family<PartitionLabel, Gauge>,
    calls: Family<HandlerLabel, Counter>,
    events: Family<OutcomeLabel, Counter>,
    duration: Family<HandlerLabel, Histogram, fn() -> Histogram>,
    errors: Family<KindLabel, Counter>,
    memory: Family<HandlerLabel, Gauge>,
    instances: Family<HandlerLabel, Gauge>,
    state: Family<StateLabel, Gauge>,
    dead_letters: Family<HandlerLabel, Counter>,
    store_events: Gauge<u64, AtomicU64>,
    store_bytes: Gauge<u64, AtomicU64>,
    restore: Family<PartitionLabel, Gauge>,
    rebalances: Counter,
    stalls: Family<PartitionLabel, Counter>,
    refused: Family<PermissionLabel, Gauge>,
}

/// Value of the label `handler` for records that became dead letters before any handler saw them.
const NO_HANDLER: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabel {
    handler: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    handler: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    handler: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    handler: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PermissionLabel {
    operation: &'static str,
    resource: &'static str,
    name: String,
}

impl Metrics {
    /// Creates all metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            consumed: Family::default(),
            produced: Family::default(),
            send_refused: Family::default(),
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
            stalls: Family::default(),
            refused: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    /// Registers all metrics. Their names are prefixed with `eventos_`, and suffixed with the unit and a counter's
    /// `_total`.
    fn register(&self) -> Registry {
        let mut to = Registry::with_prefix("eventos");
        self.register_topics(&mut to);
        self.register_handlers(&mut to);
        self.register_store(&mut to);
        to
    }

    fn register_topics(&self, to: &mut Registry) {
        let help = "Records read from the topic";
        to.register("consumed", help, self.consumed.clone());
        let help = "Times that no record arrived for long although there were some";
        to.register("fetch_stalls", help, self.stalls.clone());
        let help = "Eventos sent over HTTP and acknowledged by the broker";
        to.register("produced", help, self.produced.clone());
        let help = "Eventos sent over HTTP and refused, by the type of the problem";
        to.register("send_refused", help, self.send_refused.clone());
        let help = "Records from the last one that was handled to the end of the partition";
        to.register("consumer_lag", help, self.lag.clone());
        let help = "Records produced to the dead-letter topic";
        to.register("dead_letters", help, self.dead_letters.clone());
        let help = "Changes of the assigned partitions";
        to.register("rebalances", help, self.rebalances.clone());
        let help = "1 for each permission that the broker currently refuses";
        to.register("refused", help, self.refused.clone());
    }

    fn register_handlers(&self, to: &mut Registry) {
        let help = "Calls of the handler, each with a batch";
        to.register("handler_calls", help, self.calls.clone());
        let help = "Records by the outcome that the handler returned";
        to.register("handler_events", help, self.events.clone());
        let (help, duration) = ("Duration of a call", self.duration.clone());
        to.register_with_unit("handler_duration", help, Unit::Seconds, duration);
        let help = "Failures by kind";
        to.register("handler_errors", help, self.errors.clone());
        let (help, memory) = (
            "Linear memory of the handler's instances",
            self.memory.clone(),
        );
        to.register_with_unit("handler_memory", help, Unit::Bytes, memory);
        let help = "Instances of the handler: one per worker, and those that are ready for use";
        to.register("handler_instances", help, self.instances.clone());
        let help = "1 for the state that the handler is in";
        to.register("handler_state", help, self.state.clone());
    }

    fn register_store(&self, to: &mut Registry) {
        let help = "Eventos in the store";
        to.register("store_events", help, self.store_events.clone());
        let (help, bytes) = ("Memory of the store", self.store_bytes.clone());
        to.register_with_unit("store", help, Unit::Bytes, bytes);
        let help = "Upper bound of the records that remain to be replayed for the store";
        to.register("restore_records", help, self.restore.clone());
    }

    /// Counts records that were read from a partition.
    pub fn consumed(&self, partition: Partition, records: u64) {
        self.consumed.get_or_create(&of(partition)).inc_by(records);
    }

    /// Counts Eventos that were sent to a partition and acknowledged.
    pub fn produced(&self, partition: Partition, records: u64) {
        self.produced.get_or_create(&of(partition)).inc_by(records);
    }

    /// Counts an Evento that was sent over HTTP and refused, with the last word of the type of its problem.
    pub fn send_refused(&self, reason: &'static str) {
        self.send_refused
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// Sets how many records of a partition remain to be read.
    pub fn lag(&self, partition: Partition, records: i64) {
        self.lag.get_or_create(&of(partition)).set(records);
    }

    /// Sets how many records of a partition remain to be replayed for the store.
    pub fn restoring(&self, partition: Partition, records: i64) {
        self.restore.get_or_create(&of(partition)).set(records);
    }

    /// Removes the gauges of a partition that was assigned to another instance.
    pub fn revoked(&self, partition: Partition) {
        self.lag.remove(&of(partition));
        self.restore.remove(&of(partition));
    }

    /// Counts that no record of a partition arrived for long although there were some.
    pub fn stalled(&self, partition: Partition) {
        self.stalls.get_or_create(&of(partition)).inc();
    }

    /// Counts a change of the assigned partitions.
    pub fn rebalanced(&self) {
        self.rebalances.inc();
    }

    /// Counts records that became dead letters because they are not valid Eventos, so that no handler saw them.
    pub fn unreadable(&self, records: u64) {
        let handler = NO_HANDLER.to_owned();
        self.dead_letters
            .get_or_create(&HandlerLabel { handler })
            .inc_by(records);
    }

    /// Sets the size of the store.
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
            let of = PermissionLabel {
                operation,
                resource,
                name: name.to_owned(),
            };
            self.refused.get_or_create(&of).set(1);
        }
    }

    /// Returns the metrics of one handler, and begins to expose them.
    #[must_use]
    pub fn handler(&self, name: &str) -> HandlerMetrics {
        HandlerMetrics::new(self, name)
    }

    /// Returns all metrics in a format.
    #[must_use]
    pub fn render(&self, format: MetricsFormat) -> String {
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            // These metrics can always be encoded, and writing to a String cannot fail.
            let _ = text.write_str("# EOF\n");
        }
        match format {
            MetricsFormat::Prometheus => exposition::to_prometheus(&text),
            MetricsFormat::OpenMetrics => text,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn of(partition: Partition) -> PartitionLabel {
    let partition = partition.0;
    PartitionLabel { partition }
}

/// From 10 microseconds, for a call with one Evento, to 10 seconds, far beyond the default timeout.
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
        metrics.send_refused("malformed-json");
        metrics.lag(partition, 7);
        metrics.restoring(partition, 9);
        metrics.rebalanced();
        metrics.stalled(partition);
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
        handler.set_state("running");
        let text = metrics.render(MetricsFormat::OpenMetrics);
        let plain = metrics.render(MetricsFormat::Prometheus);
        for line in [
            r#"eventos_consumed_total{partition="3"} 2"#,
            r#"eventos_produced_total{partition="3"} 1"#,
            r#"eventos_send_refused_total{reason="malformed-json"} 1"#,
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
            r#"eventos_fetch_stalls_total{partition="3"} 1"#,
            r#"eventos_refused{operation="Read",resource="group",name="g"} 1"#,
        ] {
            for text in [&text, &plain] {
                assert!(text.lines().any(|there| there == line), "{line}\n{text}");
            }
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(
            plain.contains("# TYPE eventos_consumed_total counter\n"),
            "{plain}"
        );
    }

    #[test]
    fn a_revoked_partition_has_no_lag() {
        let metrics = Metrics::new();
        metrics.lag(Partition(0), 9);
        metrics.revoked(Partition(0));
        assert!(
            !metrics
                .render(MetricsFormat::Prometheus)
                .contains("eventos_consumer_lag{")
        );
    }
}
