//! `/handlers`: the state of the handlers, and changes of the chain while the daemon runs.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    origin::refuse_other_sites,
    problem::{CONFLICT, INVALID_HANDLER, NOT_FOUND, Problem, STORAGE},
};
use crate::{
    plugin::{ChangeError, HandlerStatus, MAX_FILE, PutReport, Registry},
    telemetry::in_one_line,
};

/// The largest handler that is accepted, in bytes.
const MAX_HANDLER: usize = MAX_FILE as usize;

pub(super) fn routes(registry: Registry) -> Router {
    Router::new()
        .route("/handlers", get(list))
        .route("/handlers/{name}", get(one).put(put).delete(remove))
        .route("/handlers/{name}/{action}", post(act))
        .layer(DefaultBodyLimit::max(MAX_HANDLER))
        .layer(middleware::from_fn(refuse_other_sites))
        .with_state(registry)
}

async fn list(State(registry): State<Registry>) -> Response {
    Json(registry.list()).into_response()
}

async fn one(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let status = find(&registry, &name)?;
    Ok(Json(status).into_response())
}

/// Installs the file in the body. It is compiled and started before it replaces the current version.
async fn put(
    State(registry): State<Registry>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let changed = registry.clone();
    let PutReport { name, is_new } = change(move || changed.put(&name, &body)).await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(find(&registry, &name)?)).into_response())
}

async fn remove(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    change(move || registry.remove(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn act(
    State(registry): State<Registry>,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (changed, target) = (registry.clone(), name.clone());
    match action.as_str() {
        "pause" => change(move || changed.pause(&target)).await?,
        "resume" => change(move || changed.resume(&target)).await?,
        "rollback" => change(move || changed.rollback(&target)).await?,
        other => {
            let detail = format!("unknown action {other:?}; expected pause, resume or rollback");
            return Err(Problem::new(NOT_FOUND, detail));
        }
    }
    Ok(Json(find(&registry, &name)?).into_response())
}

fn find(registry: &Registry, name: &str) -> Result<HandlerStatus, Problem> {
    let found = registry
        .list()
        .into_iter()
        .find(|status| status.name == name);
    found.ok_or_else(|| {
        Problem::new(
            NOT_FOUND,
            format!("no handler is named {name:?}; GET /handlers lists them"),
        )
    })
}

/// Changes the chain on a blocking thread, since that compiles and writes files.
async fn change<T: Send + 'static>(
    change: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, Problem> {
    let changed = tokio::task::spawn_blocking(change).await;
    changed
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        .map_err(Problem::from)
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let kind = match &error {
            ChangeError::Unknown(_) => NOT_FOUND,
            ChangeError::Name(_) | ChangeError::Load(_) => INVALID_HANDLER,
            ChangeError::NoPrevious(_) => CONFLICT,
            ChangeError::Write { .. } => STORAGE,
        };
        Self::new(kind, in_one_line(&error))
    }
}
