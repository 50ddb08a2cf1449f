//! `GET /partitions`: the partitions that are assigned to this instance, and the state of each.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    Views,
    query::{NoParameters, Query},
};

/// See [`crate::http`].
pub(super) async fn list(
    State(views): State<Views>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Response {
    let assigned = views.peers.assigned();
    let json = serde_json::to_string(&assigned.statuses).expect("a status is valid JSON");
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
