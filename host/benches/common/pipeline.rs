//! A pipeline without the rest of the daemon, for the benches of whole processes.

use std::sync::Arc;

use eventos::{
    event::EventoLimits,
    kafka::{self, Cluster, ProducedTopics, Refusals, TopicLimits},
    pipeline::{self, Pipeline},
    plugin::{Chain, Handler},
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};
use tokio_util::sync::CancellationToken;

/// Returns a pipeline with the default settings, whose chain has one handler. It consumes as a member of `kafka.group_id`.
pub(crate) fn pipeline(
    servers: &str,
    kafka: kafka::Config,
    handler: Handler,
    store: &Store,
    stop: &CancellationToken,
) -> Pipeline {
    let cluster = Cluster::new(kafka, servers);
    Pipeline {
        limits: TopicLimits::new(&cluster),
        topics: ProducedTopics::default(),
        cluster,
        client_id: "bench".to_owned(),
        config: pipeline::Config::default(),
        output: None,
        chains: Chain::fixed(vec![Arc::new(handler)]),
        instance: "bench".to_owned(),
        store: store.clone(),
        evento: EventoLimits::default(),
        restore: None,
        metrics: Metrics::new(),
        readiness: Readiness::new([]),
        refusals: Refusals::default(),
        assigned: Arc::default(),
        rewinds: tokio::sync::mpsc::channel(1).1,
        stop: stop.clone(),
    }
}
