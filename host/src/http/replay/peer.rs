//! `POST /peers/replay`: what another instance was asked for, as far as it is about this one.

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
    },
    replay::{Fate, MEDIA_TYPE, Rewound, Targets, Told},
};

/// See [`crate::http`]. Nobody else is told, so that no replay goes round.
pub(super) async fn replay(
    State(Group { replays, .. }): State<Group>,
    headers: HeaderMap,
    targets: Result<Json<Targets>, JsonRejection>,
) -> Result<Response, Problem> {
    accept(&headers, &[MEDIA_TYPE])?;
    let Json(targets) = targets.map_err(unreadable)?;
    if let Some((partition, to)) = targets.iter().find(|(_, to)| **to < Offset(0)) {
        let detail = format!("partition {partition} has no offset {to}");
        return Err(Problem::new(problem::UNREADABLE_BODY, detail));
    }
    let partitions: Vec<_> = targets.keys().copied().collect();
    let rewound = match replays.rewind(targets) {
        Ok(rewound) => rewound.await,
        // Whoever asks is to say so of each, as of any other that stays where it stands.
        Err(busy) => Rewound::all(partitions, &Fate::Failed(busy.to_string())),
    };
    let told: Vec<_> = rewound.into_iter().map(Told::from).collect();
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, media_type)], Json(told)).into_response())
}

fn unreadable(rejection: JsonRejection) -> Problem {
    let kind = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => problem::TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => problem::MEDIA_TYPE,
        _ => problem::UNREADABLE_BODY,
    };
    Problem::new(kind, rejection.body_text())
}
