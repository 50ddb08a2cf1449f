//! `POST /peers/replay`: another instance asks this one to rewind the partitions that it owns.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Group;
use crate::{
    event::Offset,
    http::{
        body::accept,
        problem::{self, Problem},
        query::{NoParameters, Query},
    },
    replay::{MEDIA_TYPE, PartitionReport, RewindOutcome, RewindTargets},
};

/// See [`crate::http`]. The request is never forwarded, so that a replay cannot circulate among the instances.
pub(super) async fn replay(
    State(Group { replayer, .. }): State<Group>,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    targets: Result<Json<RewindTargets>, JsonRejection>,
) -> Result<Response, Problem> {
    accept(&headers, &[MEDIA_TYPE])?;
    let Json(targets) = targets.map_err(unreadable)?;
    if let Some((partition, to)) = targets.iter().find(|(_, to)| **to < Offset(0)) {
        let detail = format!("partition {partition} has no offset {to}");
        return Err(Problem::new(problem::UNREADABLE_BODY, detail));
    }
    let partitions: Vec<_> = targets.keys().copied().collect();
    let reports = match replayer.rewind(targets) {
        Ok(reports) => reports.await,
        // The peer expects a report about each partition, as for any other failure.
        Err(busy) => {
            PartitionReport::for_each(partitions, &RewindOutcome::failed(busy.to_string()))
        }
    };
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, media_type)], Json(reports)).into_response())
}

fn unreadable(rejection: JsonRejection) -> Problem {
    let kind = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => problem::TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => problem::MEDIA_TYPE,
        _ => problem::UNREADABLE_BODY,
    };
    Problem::new(kind, rejection.body_text())
}
