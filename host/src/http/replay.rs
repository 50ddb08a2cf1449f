//! `POST /replay`: handling again what was handled.

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
    replay::{Answer, Error, Replays, Start, Told},
};

pub(super) fn routes(replays: Replays) -> Router {
    Router::new()
        .route("/replay", post(replay))
        .layer(middleware::from_fn(refuse_other_sites))
        .with_state(replays)
}

/// See [`super`].
async fn replay(
    State(replays): State<Replays>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from", "partition", "dry_run"])?;
    let start = parameters.get("from").map(str::parse::<Start>);
    let start = start.ok_or_else(|| {
        refused("from is missing: earliest, an offset, or a time as RFC 3339".to_owned())
    })?;
    let start = start.map_err(|fault| refused(format!("from: {fault}")))?;
    let partition = parameters.parsed("partition", "the number of a partition")?;
    let dry_run = parameters.switch("dry_run")?;
    let rewound = replays.replay(start, partition.map(Partition), dry_run);
    let partitions: Vec<_> = rewound.await?.into_iter().map(Told::from).collect();
    let partial = partitions.iter().any(|told| told.why.is_some());
    let answer = Answer {
        dry_run,
        partial,
        records: partitions.iter().map(|told| told.records).sum(),
        partitions,
    };
    let status = match partial {
        false => StatusCode::OK,
        true => StatusCode::CONFLICT,
    };
    Ok((status, Json(answer)).into_response())
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
