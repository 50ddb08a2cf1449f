//! HTTP: the only module that names axum.
//!
//! | call | answer |
//! |---|---|
//! | `POST /send` | one Evento of at most 1,000,000 bytes as JSON; `{"status":"message sent","evento":…,"partition":0,"offset":42}` once the broker has acknowledged it. `?key=` sets the record's key |
//! | `POST /send/batch` | Eventos as NDJSON or as a JSON array; NDJSON, a line for each, in their order |
//! | `GET /messages` | stored Eventos as a JSON array, oldest first; `tipo`, `id`, `order=desc`, `limit`, `after` |
//! | `GET /messages/{id}` | the newest Evento with that id |
//! | `GET /peers/messages` | for the other instances alone: what this one has of `partitions`, as rows |
//! | `GET /handlers`, `GET /handlers/{name}` | the handlers in the order of the chain: file, digest, state, counters |
//! | `PUT /handlers/{name}` | takes the body, a `.wasm`, for that handler: 201 if it is new, 200 if it takes another's place, 422 if it does not load, which changes nothing |
//! | `DELETE /handlers/{name}` | 204; takes it out of the chain, and its file out of the folder |
//! | `POST /handlers/{name}/pause`, `/resume`, `/rollback` | holds everything up before the chain, lets it pass again, brings back the version before |
//! | `GET /dead-letters` | dead letters as a JSON array; `handler`, `class`, `topic`, `partition`, `from_offset`, `to_offset`, `since`, `until`, `id`, `limit`, `after`, or `positions` |
//! | `POST /dead-letters/redrive` | sends letters through again: the same parameters or `all=true`, and `dry_run=true`; what became of each |
//! | `POST /replay` | rewinds the group: `from=earliest`, an offset or a time (RFC 3339); `partition`, `dry_run=true`; what became of each partition |
//! | `POST /peers/replay` | for the other instances alone: rewinds what this one has of the partitions in the body |
//! | `GET /partitions` | the partitions that are assigned to this instance, as a JSON array: phase, paused, halted, restoring, generation, batches in flight, position, committed offset, lag |
//! | `GET /healthz` | 200 as long as it answers |
//! | `GET /readyz` | 200 when nothing is waited for, else 503 with `pending`; `permission` is one that the broker refuses, named in `detail` |
//! | `GET /metrics` | `OpenMetrics` text |
//!
//! **`POST /send/batch`** answers 200 with the first bytes of the body; each line has the `index` of its Evento, from 0, blank lines not counted:
//! `{"status":"message sent","index":0,"partition":0,"offset":42}`, or
//! `{"status":"refused","index":1,"problem":{…}}`, after which the others go on, or
//! `{"status":"stopped","index":2,"problem":{…}}`, the last line of an array that is malformed from there
//! on: nothing from there on was sent. At most 1,024 Eventos of one request wait for the broker; a full queue to the
//! broker slows the reading of the body down. The answer is cut off, never ended in order, if it is not whole. A client may send everything before it reads
//! anything, as long as its unread answers fit into 32 MiB of memory here: millions where they are alike,
//! some 100,000 refusals where each is different. One that is stuck there for a minute is given up.
//!
//! **`GET /messages`** tells, besides the array: `X-Total-Count`, how many Eventos match in all; `X-Next-Cursor`, what to
//! give as `after` to go on, now or at any time later; and, when there may be more already,
//! `Link: <…>; rel="next"`, the same as a URL. Cursors hold on every instance and after a restart.
//!
//! **`GET /dead-letters`** goes by the letters' places in their topic: partition by partition, in each the oldest first.
//! `topic`, `partition` and the offsets, both included, are those of the record that is dead; so is its time, which is from
//! `since` on and before `until`. A page ends at `limit` (100; 1,000 at most) or 8 MiB; `Link` and `X-Next-Cursor` go on
//! from there. `positions=0:42,1:17` names letters by their places instead.
//!
//! **`POST /dead-letters/redrive`** sends the records of as many letters as a page holds back to the partitions that they
//! are from, with their key, value, headers and timestamp; headers after those, `eventos.redriven` and
//! `eventos.history.N.…`, tell how they failed. It answers once the broker has acknowledged each: `letters` tells
//! of every one whether it is `redriven`, `skipped` (`why`) or `failed` (`problem`), and the status is 503 if any failed. With
//! `more`, give `after` and `before` as they were answered to go on; letters that came meanwhile are left out then. Of one record only one letter is redriven in a call; another call sends it again.
//!
//! **`POST /replay`** goes back to `from` in every partition, or in one, and never forward; each is rewound by the instance that
//! has it, between two of its batches, and the new position is committed before it answers. `partitions` tells of each whether it
//! is `rewound` or `unchanged` (`from`, `to`, `records`: offsets, of which some may be empty), `elsewhere`, where nobody who has it
//! could be told, or `failed` (`why`). If any is one of the latter two, `partial` is true and the status 409.
//!
//! With several instances in the group, `/messages` and `/messages/{id}` answer for all partitions on any of them.
//! `X-Partitions` tells how many the topic has, and `X-Partitions-Covered` of which the answer is, such as `0-3,5` (`-` for
//! none). Where an instance cannot be asked the answer is partial: still 200, with `X-Partitions-Missing` (`unknown` if the group
//! is not known) and for each reason an `X-Missing-Reason`. A cursor stands still in partitions that are missing, so they
//! are not passed over. A page of several instances ends after 64 MiB, with a `Link` to go on.
//!
//! Whatever fails is answered as `application/problem+json` (RFC 9457) with `type`, `title`, `status` and
//! `detail`; an invalid Evento also with `errors`, each with a JSON pointer (RFC 6901). An unknown query parameter is refused.

mod batch;
mod body;
mod dead_letters;
mod handlers;
mod health;
mod messages;
mod origin;
mod outbox;
mod partitions;
mod problem;
mod query;
mod replay;
mod send;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{
    Router,
    http::{Method, Uri},
    routing::{get, post},
    serve::ListenerExt,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use self::{
    outbox::Outbox,
    problem::{METHOD, NOT_FOUND, Problem},
};
use crate::{
    dead_letters::DeadLetters,
    kafka::{Producer, Refusals},
    peers::{InvalidPeerUrl, PeerUrl, Peers},
    plugin::Registry,
    replay::Replayer,
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// The `[http]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL at which other instances reach this one; empty for `http://` and what `listen` says.
    pub advertise: String,
}

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let url = self.advertise.parse::<PeerUrl>();
        let fault = url.err().filter(|_| !self.advertise.is_empty());
        let problem = |fault: InvalidPeerUrl| ("advertise".to_owned(), fault.to_string());
        fault.map(problem).into_iter().collect()
    }

    /// The URL at which other instances reach this one, which listens on this address: None if that is every
    /// address, and nothing else is set.
    #[must_use]
    pub fn advertised(&self, listening: SocketAddr) -> Option<PeerUrl> {
        let set = self.advertise.parse().ok();
        set.or_else(|| PeerUrl::of(listening))
    }
}

/// What the endpoints need.
#[derive(Clone)]
pub struct State {
    /// Where Eventos are sent.
    pub producer: Producer,
    /// What `/messages` shows of this instance.
    pub store: Store,
    /// What `/messages` shows of the others.
    pub peers: Peers,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// What `/readyz` tells.
    pub readiness: Readiness,
    /// And what the broker refuses.
    pub refusals: Refusals,
    /// What `/handlers` shows and changes.
    pub handlers: Registry,
    /// What `/dead-letters` shows and sends through again.
    pub dead_letters: DeadLetters,
    /// What `/replay` rewinds.
    pub replayer: Replayer,
}

/// What the endpoints need that only look.
#[derive(Clone)]
struct Views {
    store: Store,
    peers: Peers,
    metrics: Metrics,
    readiness: Readiness,
    refusals: Refusals,
}

/// Serves until `shutdown` is done; then takes no more connections, and returns when the requests
/// that are under way are answered. That may take as long as a client likes: the caller has a deadline.
///
/// # Errors
/// None that a single connection brings about; what the listener fails of for good.
pub async fn serve(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let State {
        producer,
        store,
        peers,
        metrics,
        readiness,
        refusals,
        handlers,
        dead_letters,
        replayer,
    } = state;
    let outbox = Outbox::new(producer, metrics.clone(), refusals.clone());
    let views = Views {
        store,
        peers,
        metrics,
        readiness,
        refusals,
    };
    let administration = handlers::routes(handlers)
        .merge(dead_letters::routes(dead_letters))
        .merge(replay::routes(replayer, views.peers.clone()));
    let router = router(outbox, views, administration);
    serve_router(listener, router, shutdown).await
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // An answer is written in one piece and waited for: it is not to wait for more.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });
    let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown);
    serve.await
}

fn router(outbox: Outbox, views: Views, administration: Router) -> Router {
    let producing = Router::new()
        .route("/send", post(send::send))
        .route("/send/batch", post(batch::send_batch))
        .with_state(outbox);
    let looking = Router::new()
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::newest))
        .route("/peers/messages", get(messages::rows))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/partitions", get(partitions::list))
        .with_state(views);
    producing
        .merge(looking)
        .merge(administration)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
}

async fn unknown(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", uri.path());
    Problem::new(NOT_FOUND, detail)
}

/// The header `Allow` is axum's.
async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} is not for {method}; see the header Allow", uri.path());
    Problem::new(METHOD, detail)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            advertise: String::new(),
        }
    }
}
