//! `GET /dead-letters` lists dead letters; `POST /dead-letters/redrive` produces their records again.

mod selection;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use self::selection::{Purpose, Selection};
use super::{origin::refuse_other_sites, problem::Problem};
use crate::dead_letters::{DeadLetters, LetterView};

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
    let selection = Selection::parse(query.as_deref(), Purpose::List)?;
    let page = dead_letters.page(selection.query).await?;
    let each = page.positions.iter().zip(page.records.iter());
    let letters: Vec<_> = each
        .map(|(&position, record)| LetterView::new(position, record))
        .collect();
    let next = page.next.to_string();
    let mut headers = HeaderMap::new();
    let ascii = |text: &str| {
        HeaderValue::from_str(text).expect("digits and percent-encoded text are valid in headers")
    };
    if page.more {
        let query = selection.parameters.with("after", &next);
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
    let selection = Selection::parse(query.as_deref(), Purpose::Redrive)?;
    let dry_run = selection.parameters.switch("dry_run")?;
    // In a task of its own, so that it is completed even if the client disconnects.
    let redrive = tokio::spawn(async move { dead_letters.redrive(selection.query, dry_run).await });
    let report = redrive
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let report = report.map_problems(|error| {
        let problem = Problem::from(error);
        problem.log();
        problem
    });
    tracing::info!(
        dry_run,
        redriven = report.redriven,
        skipped = report.skipped,
        failed = report.failed,
        "redrove dead letters"
    );
    let status = match report.failed {
        0 => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(report)).into_response())
}
