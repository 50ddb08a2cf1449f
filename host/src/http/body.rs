//! Request bodies: the media types and the size that are accepted.

use std::{error::Error, iter, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{
    exchange::BodyTimeout,
    problem::{BODY_TIMEOUT, BUSY, MEDIA_TYPE, Problem, TOO_LARGE, UNREADABLE_BODY},
};

/// The largest Evento that is accepted, in bytes: about the default limit of a Kafka broker.
pub(super) const MAX_EVENTO: usize = 1_000_000;

/// How much of a body that is too large is read and discarded, so that a client that sends all of it before it reads
/// anything still gets the response.
const MAX_DISCARDED: usize = 16 * MAX_EVENTO;

/// How long the body of one Evento may take.
const EVENTO_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest body of a request of another instance, in bytes: offsets of fifty thousand partitions.
const MAX_COMMAND: usize = 2 << 20;

/// Accepts a body of one of these media types, parameters aside, and returns which one it is.
///
/// # Errors
/// If the header `Content-Type` is missing or names another.
pub(super) fn accept<'t>(headers: &HeaderMap, types: &[&'t str]) -> Result<&'t str, Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        let detail = format!(
            "this endpoint expects the header Content-Type: {}",
            types[0]
        );
        return Err(Problem::new(MEDIA_TYPE, detail));
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim();
    let accepted = types.iter().find(|of| of.eq_ignore_ascii_case(essence));
    if let Some(accepted) = accepted {
        return Ok(accepted);
    }
    let detail = format!(
        "the Content-Type is {essence:?}; this endpoint expects Content-Type: {}",
        types[0]
    );
    Err(Problem::new(MEDIA_TYPE, detail))
}

/// Reads the whole body of one Evento.
///
/// # Errors
/// If the body is larger than [`MAX_EVENTO`], breaks off or takes too long.
pub(super) async fn read_evento(body: Body) -> Result<Vec<u8>, Problem> {
    read(body, MAX_EVENTO, EVENTO_TIMEOUT, |_| true).await
}

/// Reads the whole body of a request of another instance.
///
/// # Errors
/// If the body is larger than 2 MiB, breaks off or takes too long.
pub(super) async fn read_command(body: Body) -> Result<Vec<u8>, Problem> {
    read(body, MAX_COMMAND, EVENTO_TIMEOUT, |_| true).await
}

/// Reads a whole body of at most `limit` bytes, within `time`. `has_room` says whether there is memory for this many
/// bytes.
///
/// # Errors
/// If the body is larger, breaks off or takes too long, or if the memory for it is used up.
pub(super) async fn read(
    body: Body,
    limit: usize,
    time: Duration,
    has_room: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, Problem> {
    let read = timeout(time, read_all(body, limit, has_room)).await;
    read.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {time:?}");
        Err(Problem::new(BODY_TIMEOUT, detail))
    })
}

async fn read_all(
    body: Body,
    limit: usize,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| unreadable(&error))?;
        length += chunk.len();
        if length > limit + MAX_DISCARDED {
            break;
        }
        if length > limit {
            whole = Vec::new();
        } else if has_room(length) {
            whole.extend_from_slice(&chunk);
        } else {
            let detail = "too many large requests are in progress; try again later";
            return Err(Problem::new(BUSY, detail).retry_after(5));
        }
    }
    if length > limit {
        let detail = format!("the body is larger than the limit of {limit} bytes");
        return Err(Problem::new(TOO_LARGE, detail));
    }
    Ok(whole)
}

/// Returns the problem of a body that broke off.
pub(super) fn unreadable(error: &(dyn Error + 'static)) -> Problem {
    let causes = iter::successors(Some(error), |&error| error.source());
    let kind = match causes.last().is_some_and(|cause| cause.is::<BodyTimeout>()) {
        true => BODY_TIMEOUT,
        false => UNREADABLE_BODY,
    };
    Problem::new(kind, format!("cannot read the body: {error}"))
}

/// Returns the problem of an Evento that is larger than [`MAX_EVENTO`].
pub(super) fn too_large() -> Problem {
    let detail = format!("the Evento is larger than the limit of {MAX_EVENTO} bytes");
    Problem::new(TOO_LARGE, detail)
}
