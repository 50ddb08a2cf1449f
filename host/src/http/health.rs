//! Monitoring: `/healthz`, `/readyz` and `/metrics`.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use super::{
    Views,
    problem::{NOT_READY, Problem},
    query::{NoParameters, Query},
};
use crate::{kafka::Permission, telemetry::metrics::MetricsFormat};

/// Handles `GET /healthz`: the process is alive if it responds.
pub(super) async fn healthz(Query(NoParameters {}): Query<NoParameters>) -> Response {
    status("ok")
}

/// Handles `GET /readyz`: the daemon is ready if nothing is pending, the broker denies no permission, no record waits for a
/// topic, and the chain lacks no handler.
pub(super) async fn readyz(
    State(views): State<Views>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let mut pending = views.readiness.pending();
    let refused = views.refusals.now();
    if !refused.is_empty() {
        pending.push("permission");
    }
    let faults = views.topics.faults();
    if !faults.is_empty() && !pending.contains(&"topic") {
        pending.push("topic");
    }
    let hold = views.hold.reason();
    if hold.is_some() {
        pending.push("handlers");
    }
    if pending.is_empty() {
        return Ok(status("ready"));
    }
    let mut detail = format!("waiting for: {}", pending.join(", "));
    if !refused.is_empty() {
        let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
        detail = format!("{detail}; grant on the broker: {}", refused.join("; "));
    }
    for fault in faults {
        detail = format!("{detail}; {fault}");
    }
    if let Some(hold) = hold {
        detail = format!("{detail}; {hold}");
    }
    Err(Problem::new(NOT_READY, detail).pending(pending))
}

/// Handles `GET /metrics`, in the format that the client accepts. The figures of the store are taken now rather than at each
/// change of it.
pub(super) async fn metrics(
    State(views): State<Views>,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
) -> Response {
    let Views {
        store,
        metrics,
        refusals,
        ..
    } = views;
    metrics.store(store.events(), store.bytes());
    metrics.refused(refusals.now().iter().map(Permission::as_acl));
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = MetricsFormat::accepted(&accept.join(","));
    let described = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    (described, metrics.render(format)).into_response()
}

fn status(text: &str) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, format!(r#"{{"status":"{text}"}}"#)).into_response()
}
