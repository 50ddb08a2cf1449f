//! `POST /send/batch`: any number of Eventos in one request, streamed both ways.
//!
//! Nothing here grows with the number of Eventos: they are read one after the other ([`lines`], [`array`]), at most
//! [`pump::IN_FLIGHT`] of them wait for the broker ([`pump`]), and what the client does not read of the
//! answers yet is kept in few bytes ([`answers`]). So a client that sends everything before it reads
//! anything is served as well as one that does both at once.

mod answers;
mod array;
mod lines;
mod pump;
#[cfg(test)]
mod tests;

use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio_util::task::AbortOnDropHandle;

use super::{body, outbox::Outbox, problem::Problem, query::Parameters};

/// Media types of the two formats, which are told apart by their first byte.
const TYPES: [&str; 6] = [
    "application/x-ndjson",
    "application/json",
    "application/ndjson",
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonlines",
];

/// What was found in the body.
#[derive(Debug)]
enum Item {
    /// A text that may be an Evento.
    Text(Bytes),
    /// A text longer than [`body::MAX_EVENTO`], which was passed over.
    TooLong,
    /// The body cannot be read from here on.
    Broken(Problem),
}

/// See [`super`].
pub(super) async fn send_batch(
    State(outbox): State<Outbox>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::parse(request.uri().query(), &[])?;
    body::accept(request.headers(), &TYPES)?;
    let chunks = request.into_body().into_data_stream();
    let mut chunks = chunks.map(|chunk| chunk.map_err(std::io::Error::other));
    // The body is read from before the answer begins: a client that expects "100 Continue", as
    // curl does with a large body, would else wait a second for it, since it comes with the first read.
    let first = chunks.next().await;
    let chunks = stream::iter(first).chain(chunks);
    let (writer, reader) = answers::channel();
    // A client that goes away takes the answer with it, and the task with that.
    let task = tokio::spawn(pump::run(chunks.boxed(), outbox, writer));
    let answer = reader.into_stream(AbortOnDropHandle::new(task));
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((content_type, Body::from_stream(answer)).into_response())
}
