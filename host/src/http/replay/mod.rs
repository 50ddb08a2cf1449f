//! `POST /replay` rewinds the whole group; `POST /peers/replay` rewinds the partitions of this instance.

mod group;
mod peer;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};

use super::{
    origin::refuse_other_sites,
    problem::{NOT_FOUND, NOT_READY, Problem},
    query::{Parameters, refused},
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

pub(super) fn routes(replayer: Replayer, peers: Peers) -> Router {
    Router::new()
        .route("/replay", post(replay))
        .route("/peers/replay", post(peer::replay))
        .layer(middleware::from_fn(refuse_other_sites))
        .with_state(Group { replayer, peers })
}

/// See [`super`].
async fn replay(
    State(group): State<Group>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from", "partition", "dry_run"])?;
    let start = parameters.get("from").map(str::parse::<ReplayStart>);
    let start = start.ok_or_else(|| {
        refused(
            "from is missing; give earliest, an offset, or a time in RFC 3339 format".to_owned(),
        )
    })?;
    let start = start.map_err(|error| refused(format!("from: {error}")))?;
    let partition = parameters.parsed("partition", "the number of a partition")?;
    let dry_run = parameters.switch("dry_run")?;
    let plan = group.replayer.plan(start, partition.map(Partition)).await?;
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
