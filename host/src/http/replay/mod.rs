//! `POST /replay` rewinds the whole group; `POST /peers/replay` rewinds the partitions of this instance.

mod group;
mod peer;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;

use super::{
    limits::{ConcurrencyLimit, limit_concurrency},
    problem::{NOT_FOUND, NOT_READY, Problem},
    query::{Query, from_text, invalid, partition, switch},
};
use crate::{
    event::Partition,
    peers::Peers,
    replay::{Error, ReplayReport, ReplayStart, Replayer},
};

/// This instance and its peers, which rewind the partitions that they own.
#[derive(Clone)]
struct Group {
    replayer: Replayer,
    peers: Peers,
}

/// How many replays may be in progress, each of which asks the broker for offsets.
const CONCURRENT: usize = 4;

pub(super) fn routes(replayer: Replayer, peers: Peers) -> Router {
    let concurrency = from_fn_with_state(ConcurrencyLimit::new(CONCURRENT), limit_concurrency);
    Router::new()
        .route("/replay", post(replay).layer(concurrency))
        .route("/peers/replay", post(peer::replay))
        .with_state(Group { replayer, peers })
}

/// The query of `POST /replay`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplayQuery {
    #[serde(deserialize_with = "from_text")]
    from: Option<ReplayStart>,
    #[serde(deserialize_with = "partition")]
    partition: Option<Partition>,
    #[serde(deserialize_with = "switch")]
    dry_run: bool,
}

/// See [`super`].
async fn replay(
    State(group): State<Group>,
    Query(query): Query<ReplayQuery>,
) -> Result<Response, Problem> {
    let ReplayQuery {
        from,
        partition,
        dry_run,
    } = query;
    let start = from.ok_or_else(|| {
        invalid("missing query parameter `from`: earliest, an offset, or a time as RFC 3339")
    })?;
    let plan = group.replayer.plan(start, partition).await?;
    let reports = match dry_run {
        true => plan.dry_run(),
        false => group.rewind(plan.targets()).await?,
    };
    let report = ReplayReport::new(dry_run, reports);
    let status = match report.partial {
        false => StatusCode::OK,
        true => StatusCode::CONFLICT,
    };
    Ok((status, Json(report)).into_response())
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Kafka(error) => error.into(),
            Error::NoPartition(_) => Self::new(NOT_FOUND, text),
            Error::Busy => Self::new(NOT_READY, text),
        }
    }
}
