//! The open connections: how many there may be, and which of them makes room for a new one.
//!
//! A client that sends nothing must not lock out others. So when all connections are in use, a new one takes the place of
//! the one whose client has kept the daemon waiting for longest: idle, in the middle of a request, or in the middle of a
//! response that it does not read. If every client waits for the daemon instead, the new connection waits.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// How long to wait for room before another connection may have to make it.
const RETRY: Duration = Duration::from_millis(100);

/// All open connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    free: Arc<Semaphore>,
    next_id: AtomicU64,
    /// Held for a look at the connections, never across an await.
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
}

/// A connection. Dropping it makes room for another.
pub(super) struct Connection {
    id: u64,
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

/// What a connection is waiting for.
pub(super) struct Activity {
    waits: Mutex<Waits>,
    evicted: CancellationToken,
}

/// Since when the client has kept the daemon waiting, and for what. All of them are `None` while the daemon works.
#[derive(Default)]
struct Waits {
    /// For the whole head of a request. The time between two requests counts.
    head: Option<Instant>,
    /// For the next part of a body.
    body: Option<Instant>,
    /// For room for the next part of a response.
    response: Option<Instant>,
}

impl Connections {
    /// Returns room for this many connections.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            free: Arc::new(Semaphore::new(limit)),
            next_id: AtomicU64::default(),
            open: Mutex::default(),
        }))
    }

    /// Adds a connection, in place of another if there are too many.
    pub(super) async fn admit(&self) -> Connection {
        let shared = &self.0;
        let permit = loop {
            let free = Arc::clone(&shared.free);
            if let Ok(permit) = free.try_acquire_owned() {
                break permit;
            }
            self.evict_one();
            let free = Arc::clone(&shared.free).acquire_owned();
            // All of them may work now, and one of them wait for its client later.
            if let Ok(permit) = timeout(RETRY, free).await {
                break permit.expect("the semaphore is never closed");
            }
        };
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity {
            waits: Mutex::new(Waits::for_head()),
            evicted: CancellationToken::new(),
        });
        shared.open.lock().insert(id, Arc::clone(&activity));
        Connection {
            id,
            shared: Arc::clone(shared),
            activity,
            _permit: permit,
        }
    }

    /// Closes the connection whose client has been waited for longest, if there is one. Does nothing while another one is
    /// still being closed.
    pub(super) fn evict_one(&self) {
        let open = self.0.open.lock();
        if open.values().any(|one| one.evicted.is_cancelled()) {
            return;
        }
        let waiting = open
            .values()
            .filter_map(|one| Some((one.waiting_since()?, one)));
        if let Some((since, one)) = waiting.min_by_key(|(since, _)| *since) {
            tracing::debug!(waited = ?since.elapsed(), "closing a connection to make room for another");
            one.evicted.cancel();
        }
    }
}

impl Connection {
    /// Returns what the connection is waiting for.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.id);
    }
}

impl Activity {
    /// Completes when the connection has to make room for another.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }

    /// Whether no request has begun.
    pub(super) fn is_between_requests(&self) -> bool {
        self.waits.lock().head.is_some()
    }

    /// Notes that the head of a request has arrived.
    pub(super) fn begin_request(&self) {
        *self.waits.lock() = Waits::default();
    }

    /// Notes that a response has ended.
    pub(super) fn end_response(&self) {
        *self.waits.lock() = Waits::for_head();
    }

    /// Notes whether the next part of a body has to be waited for.
    pub(super) fn body_is_late(&self, is_late: bool) {
        let body = &mut self.waits.lock().body;
        *body = is_late.then(|| body.unwrap_or_else(Instant::now));
    }

    /// Notes that a part of a response was handed to the connection, which asks for the next one when it has room.
    pub(super) fn response_is_full(&self, is_full: bool) {
        self.waits.lock().response = is_full.then(Instant::now);
    }

    fn waiting_since(&self) -> Option<Instant> {
        let waits = self.waits.lock();
        [waits.head, waits.body, waits.response]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Waits {
    fn for_head() -> Self {
        Self {
            head: Some(Instant::now()),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_client_that_was_waited_for_longest_makes_room() {
        let connections = Connections::new(2);
        let admit = || connections.admit().now_or_never();
        let is_evicted = |one: &Connection| one.activity().evicted().now_or_never().is_some();
        let (first, second) = (admit().expect("room"), admit().expect("room"));
        first.activity().begin_request();
        // The first is at work, so the second one goes.
        assert!(admit().is_none());
        assert!(is_evicted(&second));
        assert!(!is_evicted(&first));
        // The second one is on its way out, so the first one stays, although it is waited for.
        first.activity().body_is_late(true);
        assert!(admit().is_none());
        assert!(!is_evicted(&first));
        drop(second);
        let third = admit().expect("room");
        // A body that does not come is waited for as well.
        third.activity().begin_request();
        assert!(admit().is_none());
        assert!(is_evicted(&first));
        drop(first);
        // And so is a client that does not read.
        let fourth = admit().expect("room");
        fourth.activity().begin_request();
        third.activity().response_is_full(true);
        assert!(admit().is_none());
        assert!(is_evicted(&third));
        assert!(!is_evicted(&fourth));
    }

    #[tokio::test]
    async fn a_connection_that_becomes_idle_makes_room_for_one_that_waits() {
        let connections = Connections::new(1);
        let first = connections.admit().await;
        first.activity().begin_request();
        let admit = connections.admit();
        let serve = async {
            tokio::time::sleep(3 * RETRY).await;
            first.activity().end_response();
            first.activity().evicted().await;
            drop(first);
        };
        tokio::join!(admit, serve);
    }
}
