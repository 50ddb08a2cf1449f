//! `POST /send/batch`: any number of Eventos in one request, streamed both ways.
//!
//! Nothing here grows with the number of Eventos: they are read one after the other ([`ndjson`], [`json_array`]), at
//! most [`sender::MAX_IN_FLIGHT`] of them wait for the broker ([`sender`]), and results that the client has not read
//! yet take few bytes ([`results`]). So a client that sends everything before it reads anything is served as well as
//! one that does both at once.

mod json_array;
mod ndjson;
mod results;
mod sender;
#[cfg(test)]
mod tests;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Version, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::task::AbortOnDropHandle;

use super::{
    body,
    outbox::Outbox,
    problem::Problem,
    query::{NoParameters, Query},
};

/// The media type of a JSON array, with which many clients send NDJSON too: the first byte of the body decides.
const JSON: &str = "application/json";

/// The media types of the two formats. All but [`JSON`] are those of NDJSON, whatever the body begins with.
const TYPES: [&str; 6] = [
    "application/x-ndjson",
    JSON,
    "application/ndjson",
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonlines",
];

/// An item of the body.
#[derive(Debug)]
enum Item {
    /// A text that should be an Evento.
    Text(Bytes),
    /// A text longer than [`body::MAX_EVENTO`], which was skipped.
    TooLong,
    /// The body is malformed from here on.
    Broken(Problem),
}

/// Handles `POST /send/batch`, see [`super`].
pub(super) async fn send_batch(
    State(outbox): State<Outbox>,
    Query(NoParameters {}): Query<NoParameters>,
    request: Request,
) -> Result<Response, Problem> {
    let may_be_array = body::accept(request.headers(), &TYPES)? == JSON;
    // HTTP/1.0 has no chunks, so the end of a response is that of the connection, whatever its reason.
    let can_be_cut_off = request.version() > Version::HTTP_10;
    let mut chunks = request.into_body().into_data_stream();
    // Reading the body before the response begins sends "100 Continue", for which a client such as curl would
    // otherwise wait a second.
    let first = chunks.next().await.transpose();
    let first = first.map_err(|error| body::unreadable(&error))?.map(Ok);
    let chunks = stream::iter(first).chain(chunks.map_err(std::io::Error::other));
    let (writer, reader) = results::channel();
    // If the client disconnects, the response is dropped, and the task with it.
    let sending = sender::run(chunks.boxed(), may_be_array, outbox, writer);
    let task = AbortOnDropHandle::new(tokio::spawn(sending));
    // Many clients take 200 for a success of the whole batch, and read none of the lines.
    reader.begin(can_be_cut_off).await?;
    let lines = reader.into_stream(task);
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((content_type, Body::from_stream(lines)).into_response())
}
