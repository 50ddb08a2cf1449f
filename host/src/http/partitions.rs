//! `GET /partitions`: the partitions that are assigned to this instance, and the state of each.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Views;

/// See [`crate::http`].
pub(super) async fn list(State(views): State<Views>) -> Response {
    let assigned = views.peers.assigned();
    let json = serde_json::to_string(&assigned.statuses).expect("a status is valid JSON");
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
