//! `GET /dead-letters` lists dead letters; `POST /dead-letters/redrive` produces their records again.

mod selection;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use self::selection::{Purpose, SelectionQuery};
use super::{
    limits::{ConcurrencyLimit, limit_concurrency},
    problem::Problem,
    query::{Query, next_page_link},
};
use crate::dead_letters::{DeadLetters, LetterView};

/// How many requests may be in progress, each of which reads the topic with a client of its own and keeps a page in
/// memory.
const CONCURRENT: usize = 4;

pub(super) fn routes(dead_letters: DeadLetters) -> Router {
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/redrive", post(redrive))
        .layer(from_fn_with_state(
            ConcurrencyLimit::new(CONCURRENT),
            limit_concurrency,
        ))
        .with_state(dead_letters)
}

/// See [`super`].
async fn list(
    State(dead_letters): State<DeadLetters>,
    Query(selection): Query<SelectionQuery>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let selection = selection.into_letter_query(Purpose::List)?;
    let page = dead_letters.page(selection).await?;
    let each = page.positions.iter().zip(page.records.iter());
    let letters: Vec<_> = each
        .map(|(&position, record)| LetterView::new(position, record))
        .collect();
    let next = page.next.to_string();
    let mut headers = HeaderMap::new();
    if page.more {
        let link = next_page_link(query.as_deref(), &next);
        headers.insert(header::LINK, link);
    }
    let next = HeaderValue::from_str(&next).expect("a cursor is ASCII");
    headers.insert("x-next-cursor", next);
    Ok((headers, Json(letters)).into_response())
}

/// See [`super`].
async fn redrive(
    State(dead_letters): State<DeadLetters>,
    Query(selection): Query<SelectionQuery>,
) -> Result<Response, Problem> {
    let dry_run = selection.dry_run();
    let selection = selection.into_letter_query(Purpose::Redrive)?;
    // In a task of its own, so that it is completed even if the client disconnects.
    let redrive = tokio::spawn(async move { dead_letters.redrive(selection, dry_run).await });
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
