//! `/dead-letters`: what is there, and sending it through again.

mod answer;
mod selection;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use self::{
    answer::answer,
    selection::{Asked, Purpose},
};
use super::{origin::refuse_other_sites, problem::Problem};
use crate::dead_letters::{DeadLetters, Shown};

pub(super) fn routes(dead_letters: DeadLetters) -> Router {
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/redrive", post(redrive))
        .layer(middleware::from_fn(refuse_other_sites))
        .with_state(dead_letters)
}

/// See [`super`].
async fn list(
    State(dead_letters): State<DeadLetters>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Asked::read(query.as_deref(), Purpose::List)?;
    let page = dead_letters.page(asked.choice).await?;
    let each = page.positions.iter().zip(page.records.iter());
    let letters: Vec<_> = each
        .map(|(&position, record)| Shown::new(position, record))
        .collect();
    let next = page.next.to_string();
    let mut headers = HeaderMap::new();
    let ascii = |text: &str| HeaderValue::from_str(text).expect("digits and percent-encoding");
    if page.more {
        let query = asked.parameters.with("after", &next);
        let link = format!("</dead-letters?{query}>; rel=\"next\"");
        headers.insert(header::LINK, ascii(&link));
    }
    headers.insert("x-next-cursor", ascii(&next));
    Ok((headers, Json(letters)).into_response())
}

/// See [`super`].
async fn redrive(
    State(dead_letters): State<DeadLetters>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Asked::read(query.as_deref(), Purpose::Redrive)?;
    let dry_run = asked.parameters.switch("dry_run")?;
    // What has begun is finished, whether or not the client is still there.
    let redriven = tokio::spawn(async move { dead_letters.redrive(asked.choice, dry_run).await });
    let redriven = redriven.await;
    let (accounts, page) =
        redriven.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let answer = answer(dry_run, accounts, &page);
    tracing::info!(
        dry_run,
        redriven = answer.redriven,
        skipped = answer.skipped,
        failed = answer.failed,
        "dead letters sent through again"
    );
    let status = match answer.failed {
        0 => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(answer)).into_response())
}
