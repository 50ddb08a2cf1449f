//! `POST /send`: one Evento, answered once the broker has acknowledged it.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{body, outbox::Outbox, problem::Problem, query::Query};
use crate::{event::without_byte_order_mark, kafka::Delivered};

/// The query of `POST /send`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SendQuery {
    key: Option<String>,
}

/// Handles `POST /send`, see [`super`].
pub(super) async fn send(
    State(outbox): State<Outbox>,
    Query(SendQuery { key }): Query<SendQuery>,
    request: Request,
) -> Result<Response, Problem> {
    body::accept(request.headers(), &["application/json"])?;
    let body = body::read_evento(request.into_body()).await?;
    let value = without_byte_order_mark(body.trim_ascii()).trim_ascii();
    let delivered = deliver(&outbox, key.as_deref(), value).await;
    let delivered = delivered.map_err(|problem| outbox.refuse(problem))?;
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((content_type, sent(value, delivered)).into_response())
}

async fn deliver(outbox: &Outbox, key: Option<&str>, value: &[u8]) -> Result<Delivered, Problem> {
    outbox.check(value)?;
    let queued = outbox.enqueue(key.map(str::as_bytes), value)?;
    Ok(outbox.acknowledged(queued).await?)
}

/// Returns the response as JSON. The Evento is JSON already, and stays the text that was sent.
fn sent(evento: &[u8], delivered: Delivered) -> Vec<u8> {
    let Delivered { partition, offset } = delivered;
    let end = format!(r#","partition":{partition},"offset":{offset}}}"#);
    let start: &[u8] = br#"{"status":"message sent","evento":"#;
    [start, evento, end.as_bytes()].concat()
}
