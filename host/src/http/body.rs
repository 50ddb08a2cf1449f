//! Request bodies: the media types and the size that are accepted.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use futures_util::StreamExt;

use super::problem::{MEDIA_TYPE, Problem, TOO_LARGE, UNREADABLE_BODY};

/// The largest Evento that is accepted, in bytes: about the default limit of a Kafka broker.
pub(super) const MAX_EVENTO: usize = 1_000_000;

/// How much of a body that is too large is read and discarded, so that a client that sends all of it before it reads
/// anything still gets the response.
const MAX_DISCARDED: usize = 16 * MAX_EVENTO;

/// Accepts a body of one of these media types, parameters aside. Without a header it is taken for the first.
///
/// # Errors
/// If the header `Content-Type` names another.
pub(super) fn accept(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|of| of.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = format!(
        "the Content-Type is {essence:?}; this endpoint expects Content-Type: {}",
        types[0]
    );
    Err(Problem::new(MEDIA_TYPE, detail))
}

/// Reads a whole body of at most [`MAX_EVENTO`] bytes.
///
/// # Errors
/// If the body is larger, or breaks off.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let unreadable = |error: axum::Error| {
            Problem::new(UNREADABLE_BODY, format!("cannot read the body: {error}"))
        };
        let chunk = chunk.map_err(unreadable)?;
        length += chunk.len();
        if length > MAX_DISCARDED {
            break;
        }
        if length <= MAX_EVENTO {
            whole.extend_from_slice(&chunk);
        }
    }
    if length > MAX_EVENTO {
        return Err(too_large());
    }
    Ok(whole)
}

/// Returns the problem of an Evento that is larger than [`MAX_EVENTO`].
pub(super) fn too_large() -> Problem {
    let detail = format!("the Evento is larger than the limit of {MAX_EVENTO} bytes");
    Problem::new(TOO_LARGE, detail)
}
