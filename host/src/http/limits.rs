//! Limits of what requests may cost: the size of their heads, how many of them may do work that takes memory or threads, and how
//! much memory they may take together.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    exchange::{Held, ResponseBody},
    problem::{BUSY, LARGE_HEADERS, Problem, URI_TOO_LONG},
};

/// The longest path and query of a request, in bytes. A cursor of a topic with a thousand partitions fits into it, and if
/// every byte of it is percent-encoded for a peer, it is still a URL.
pub(super) const MAX_URI: usize = 20_000;

/// The same for a request of another instance.
const MAX_PEER_URI: usize = 65_534;

/// The most headers of a request. hyper itself refuses more than [`READABLE_HEADERS`].
const MAX_HEADERS: usize = 100;

/// The most headers that are read of a request.
pub(super) const READABLE_HEADERS: usize = 300;

/// The most bytes of the headers of a request, with their names. hyper itself limits the whole head.
const MAX_HEADER_BYTES: usize = 24 << 10;

/// One unit of memory, in bytes.
const UNIT: usize = 1 << 20;

/// How long a request waits for others that do the same work.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses URIs that are too long, and headers that are too many or too large. hyper itself refuses URIs of more than 65,534
/// bytes, and heads that do not fit into its buffer, with a response that has no body.
pub(super) async fn refuse_large_heads(request: Request, next: Next) -> Response {
    match check_head(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_head(request: &Request) -> Result<(), Problem> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |it| it.as_str().len());
    let limit = match uri.path().starts_with("/peers/") {
        true => MAX_PEER_URI,
        false => MAX_URI,
    };
    if length > limit {
        let detail =
            format!("the path and query have {length} bytes; at most {limit} are accepted");
        return Err(Problem::new(URI_TOO_LONG, detail));
    }
    let headers = request.headers();
    let count = headers.len();
    if count > MAX_HEADERS {
        let detail = format!("the request has {count} headers; at most {MAX_HEADERS} are accepted");
        return Err(Problem::new(LARGE_HEADERS, detail));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > MAX_HEADER_BYTES {
        let detail =
            format!("the headers have {bytes} bytes; at most {MAX_HEADER_BYTES} are accepted");
        return Err(Problem::new(LARGE_HEADERS, detail));
    }
    Ok(())
}

/// How many requests may do some work at a time. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConcurrencyLimit(Arc<Semaphore>);

impl ConcurrencyLimit {
    pub(super) fn new(requests: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests)))
    }

    /// Waits until fewer than the limit are running, but not for long. `which` are such as "to /replay".
    ///
    /// # Errors
    /// If too many are running.
    pub(super) async fn admit(&self, which: &str) -> Result<OwnedSemaphorePermit, Problem> {
        let free = Arc::clone(&self.0).acquire_owned();
        match timeout(BUSY_TIMEOUT, free).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => {
                let detail = format!("too many requests {which} are in progress; try again later");
                Err(Problem::new(BUSY, detail).retry_after(5))
            }
        }
    }
}

/// Runs a request when fewer than the limit are running. A request is running until its client has read the response.
pub(super) async fn limit_concurrency(
    State(limit): State<ConcurrencyLimit>,
    request: Request,
    next: Next,
) -> Response {
    let which = format!("to {}", request.uri().path());
    let permit = match limit.admit(&which).await {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    response.map(|body| ResponseBody::holding(body, permit))
}

impl Held for OwnedSemaphorePermit {}

/// Memory that requests share. Cheap to clone.
#[derive(Clone)]
pub(super) struct MemoryBudget(Arc<Semaphore>);

/// What one request takes of a budget, until it is dropped.
pub(super) struct Memory {
    budget: MemoryBudget,
    held: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// Returns a budget of this many MiB.
    pub(super) fn of_mib(mib: usize) -> Self {
        Self(Arc::new(Semaphore::new(mib)))
    }

    /// Returns what a request takes, which is nothing yet.
    pub(super) fn share(&self) -> Memory {
        Memory {
            budget: self.clone(),
            held: None,
        }
    }
}

impl Memory {
    /// Takes as much as this many bytes need, rounded up to MiB. Returns false if the others have left too little.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(held);
        let Ok(missing) = u32::try_from(missing) else {
            return false;
        };
        let Ok(more) = Arc::clone(&self.budget.0).try_acquire_many_owned(missing) else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

impl Held for Memory {}
