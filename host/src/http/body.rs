//! Request bodies: which media types are taken, and how much.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use futures_util::StreamExt;

use super::problem::{MEDIA_TYPE, Problem, TOO_LARGE, UNREADABLE_BODY};

/// The largest Evento that is taken, in bytes: about what a Kafka broker takes by default.
pub(super) const MAX_EVENTO: usize = 1_000_000;

/// How much of a body that is too large is read and thrown away, so that a client that sends
/// all of it before it reads anything still gets its answer.
const MAX_DISCARDED: usize = 16 * MAX_EVENTO;

/// Refuses a body of another media type than these, parameters aside. One without a type is taken for the first.
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
        "the body is said to be {essence:?}; send the header Content-Type: {}",
        types[0]
    );
    Err(Problem::new(MEDIA_TYPE, detail))
}

/// Reads a whole body of at most [`MAX_EVENTO`] bytes.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let unreadable = |error: axum::Error| Problem::new(UNREADABLE_BODY, error.to_string());
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

/// The Evento is larger than [`MAX_EVENTO`].
pub(super) fn too_large() -> Problem {
    let detail = format!("an Evento has at most {MAX_EVENTO} bytes");
    Problem::new(TOO_LARGE, detail)
}
