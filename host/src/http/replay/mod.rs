//! `POST /replay`: handling again what was handled, in the whole group; and `POST /peers/replay`, its part here.

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
    replay::{Answer, Error, Replays, Start},
};

/// What rewinds, here and elsewhere.
#[derive(Clone)]
struct Group {
    replays: Replays,
    peers: Peers,
}

pub(super) fn routes(replays: Replays, peers: Peers) -> Router {
    Router::new()
        .route("/replay", post(replay))
        .route("/peers/replay", post(peer::replay))
        .layer(middleware::from_fn(refuse_other_sites))
        .with_state(Group { replays, peers })
}

/// See [`super`].
async fn replay(
    State(group): State<Group>,
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
    let plan = group.replays.plan(start, partition.map(Partition)).await?;
    let rewound = match dry_run {
        true => plan.rehearsed(),
        false => group.rewind(plan.targets()).await?,
    };
    let answer = Answer::new(dry_run, rewound);
    let status = match answer.partial {
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
