//! `POST /send`: one Evento, answered once the broker has it.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    body,
    outbox::Outbox,
    problem::{MALFORMED_JSON, Problem},
    query::Parameters,
};
use crate::event::EventoRef;

/// The answer. `evento` is the text that was sent, to the digit.
#[derive(Serialize)]
struct Sent<'a> {
    status: &'static str,
    evento: &'a RawValue,
    partition: i32,
    offset: i64,
}

/// See [`super`].
pub(super) async fn send(
    State(outbox): State<Outbox>,
    request: Request,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(request.uri().query(), &["key"])?;
    body::accept(request.headers(), &["application/json"])?;
    let body = body::read(request.into_body()).await?;
    let value = body.trim_ascii();
    EventoRef::parse(value)?;
    let key = parameters.get("key").map(str::as_bytes);
    let acknowledgement = outbox.enqueue(key, value)?;
    let delivered = outbox.acknowledged(acknowledgement).await?;
    let malformed = |error: serde_json::Error| Problem::new(MALFORMED_JSON, error.to_string());
    let sent = Sent {
        status: "message sent",
        evento: serde_json::from_slice(value).map_err(malformed)?,
        partition: delivered.partition.0,
        offset: delivered.offset.0,
    };
    Ok(Json(sent).into_response())
}
