//! `/handlers`: the state of the handlers, and changes of the chain while the daemon runs.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    body,
    limits::MemoryBudget,
    problem::{CONFLICT, INVALID_HANDLER, NOT_FOUND, Problem, STORAGE},
    query::{NoParameters, Query},
};
use crate::{
    plugin::{ChangeError, HandlerSource, HandlerStatus, MAX_FILE, PutReport, Registry},
    telemetry::in_one_line,
};

/// The largest handler that is accepted, in bytes.
const MAX_HANDLER: usize = MAX_FILE as usize;

/// How long the body of an upload may take.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Memory for uploads, in MiB. One that is half sent takes only what has arrived.
const UPLOADS_MIB: usize = 256;

/// The handlers, and changes of them: one upload or rollback and one other change at a time, also if its client has gone, so that
/// changes take two blocking threads in all. An upload compiles, which the others do not wait for.
#[derive(Clone)]
struct Handlers {
    registry: Registry,
    /// Held during an upload or a rollback.
    uploading: Arc<Mutex<()>>,
    /// Held during another change.
    changing: Arc<Mutex<()>>,
    uploads: MemoryBudget,
}

/// The header with the signature of a handler that is uploaded, in Base64.
const SIGNATURE: &str = "x-eventos-signature";

pub(super) fn routes(registry: Registry) -> Router {
    let handlers = Handlers {
        registry,
        uploading: Arc::default(),
        changing: Arc::default(),
        uploads: MemoryBudget::of_mib(UPLOADS_MIB),
    };
    Router::new()
        .route("/handlers", get(list))
        .route("/handlers/{name}", get(one).put(put).delete(remove))
        .route("/handlers/{name}/{action}", post(act))
        .with_state(handlers)
}

async fn list(
    State(handlers): State<Handlers>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Response {
    Json(handlers.registry.list()).into_response()
}

async fn one(
    State(handlers): State<Handlers>,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let status = handlers.find(&name)?;
    Ok(Json(status).into_response())
}

/// The query of `PUT /handlers/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    /// Whether to change nothing, and to answer with what the handler would be.
    #[serde(default)]
    dry_run: bool,
}

/// Installs the file in the body. It is compiled and started before it replaces the current version.
async fn put(
    State(handlers): State<Handlers>,
    Path(name): Path<String>,
    Query(PutQuery { dry_run }): Query<PutQuery>,
    request: Request,
) -> Result<Response, Problem> {
    body::accept(
        request.headers(),
        &["application/wasm", "application/octet-stream"],
    )?;
    let signature = request.headers().get(SIGNATURE);
    let signature = signature.map(|value| value.as_bytes().to_vec());
    let mut memory = handlers.uploads.share();
    let has_room = |length| memory.grow_to(length);
    let body = body::read(request.into_body(), MAX_HANDLER, UPLOAD_TIMEOUT, has_room).await?;
    // Its digest takes a while, so that is not computed on a thread of the runtime.
    let source = move || HandlerSource::new(body, signature);
    if dry_run {
        let tried = handlers.change(&handlers.uploading, move |registry, cancelled| {
            let _memory = memory;
            registry.try_put(&name, source(), cancelled)
        });
        return Ok(Json(tried.await?).into_response());
    }
    let put = handlers.change(&handlers.uploading, move |registry, cancelled| {
        let _memory = memory;
        registry.put(&name, source(), cancelled)
    });
    let PutReport { name, is_new } = put.await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(handlers.find(&name)?)).into_response())
}

async fn remove(
    State(handlers): State<Handlers>,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    let removal = handlers.change(&handlers.changing, move |registry, _| {
        registry.remove(&name)
    });
    removal.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn act(
    State(handlers): State<Handlers>,
    Path((name, action)): Path<(String, String)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let change = match action.as_str() {
        "pause" => Registry::pause,
        "resume" => Registry::resume,
        "rollback" => Registry::rollback,
        other => {
            let detail = format!("unknown action {other:?}; expected pause, resume or rollback");
            return Err(Problem::new(NOT_FOUND, detail));
        }
    };
    let turn = match action.as_str() {
        // It may compile, as an upload does.
        "rollback" => &handlers.uploading,
        _ => &handlers.changing,
    };
    let target = name.clone();
    let changed = handlers.change(turn, move |registry, _| change(registry, &target));
    changed.await?;
    Ok(Json(handlers.find(&name)?).into_response())
}

impl Handlers {
    fn find(&self, name: &str) -> Result<HandlerStatus, Problem> {
        self.registry.find(name).ok_or_else(|| {
            Problem::new(
                NOT_FOUND,
                format!("no handler is named {name:?}; GET /handlers lists them"),
            )
        })
    }

    /// Changes the chain on a blocking thread when it is its turn, since that compiles and writes files. The token is cancelled if the
    /// client goes away or the daemon stops before the change is complete.
    async fn change<T: Send + 'static>(
        &self,
        turn: &Arc<Mutex<()>>,
        change: impl FnOnce(&Registry, &CancellationToken) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(turn).lock_owned().await;
        let registry = self.registry.clone();
        let cancelled = CancellationToken::new();
        let _cancels = cancelled.clone().drop_guard();
        let changed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            change(&registry, &cancelled)
        });
        let changed = changed.await;
        changed
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(Problem::from)
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let kind = match &error {
            ChangeError::Unknown(_) => NOT_FOUND,
            ChangeError::Name(_) | ChangeError::Load(_) => INVALID_HANDLER,
            ChangeError::NoPrevious(_) | ChangeError::Changed(_) | ChangeError::Cancelled => {
                CONFLICT
            }
            ChangeError::Write { .. } | ChangeError::Kept(_) => STORAGE,
        };
        Self::new(kind, in_one_line(&error))
    }
}
