//! HTTP: the endpoints of the daemon. The only module that names axum.
//!
//! | request | response |
//! |---|---|
//! | `POST /send` | takes one Evento, a JSON object of at most 1,000,000 bytes; `{"status":"message sent","evento":…,"partition":0,"offset":42}` once the broker has acknowledged it. `key` sets the key of the record |
//! | `POST /send/batch` | takes Eventos as NDJSON or as a JSON array; NDJSON with one line per Evento, in their order |
//! | `GET /messages` | stored Eventos as a JSON array, oldest first; `tipo`, `id`, `order=desc`, `limit`, `after` |
//! | `GET /messages/{id}` | the newest Evento with that id |
//! | `GET /peers/messages` | for other instances only: the Eventos of `partitions` that this instance stores, as rows |
//! | `GET /handlers`, `GET /handlers/{name}` | the handlers in the order of the chain: file, digest, state, counters |
//! | `PUT /handlers/{name}` | installs the body, a `.wasm`, as that handler: 201 if it is new, 200 if it replaces one, 422 if it does not load, in which case nothing changes |
//! | `DELETE /handlers/{name}` | removes the handler from the chain and its file from the drop-in folder: 204 |
//! | `POST /handlers/{name}/pause`, `/resume`, `/rollback` | stops and restarts the flow of Eventos into the chain, or brings back the previous version |
//! | `GET /dead-letters` | dead letters as a JSON array; `handler`, `class`, `topic`, `partition`, `from_offset`, `to_offset`, `since`, `until`, `id`, `limit`, `after`, or `positions` |
//! | `POST /dead-letters/redrive` | sends the records of dead letters through the chain again; the same parameters or `all=true`, and `dry_run=true`; one result per letter |
//! | `POST /replay` | rewinds the group: `from=earliest`, an offset or a time (RFC 3339); `partition`, `dry_run=true`; one result per partition |
//! | `GET /peers/proof` | for other instances only: 204, with a proof that this is an instance of the group |
//! | `POST /peers/replay` | for other instances only: rewinds the partitions in the body, as far as this instance owns them |
//! | `GET /partitions` | the partitions that are assigned to this instance, as a JSON array: phase, paused, halted, restoring, generation, batches in flight, position, committed offset, lag |
//! | `GET /healthz` | 200 while the process is alive |
//! | `GET /readyz` | 200 when the daemon is ready, else 503 with what is `pending`; `permission` stands for permissions that the broker denies, `topic` for topics that records wait for; `detail` lists both |
//! | `GET /metrics` | the metrics in the text format of Prometheus, or as `OpenMetrics` if the header `Accept` asks for that |
//!
//! **`POST /send/batch`** responds with 200 as soon as the first Evento has a result. Each line has the `index` of its
//! Evento, counted from 0 without blank lines: `{"status":"message sent","index":0,"partition":0,"offset":42}`, or
//! `{"status":"refused","index":1,"problem":{…}}`, after which the batch continues, or
//! `{"status":"stopped","index":2,"problem":{…}}`, the last line for an array that is malformed: nothing from that
//! element on was sent. Only an Evento that is itself to blame is refused. If the broker fails, the response is its
//! problem, 503 for example; once the response has begun, it is cut off rather than ended, as it is when the body breaks
//! off, so that the client sends the batch again. At most 1,024 Eventos of a request wait for the broker at a time, and a
//! full producer queue slows down the reading of the body. A client may send
//! everything before it reads anything, as long as the unread lines fit into 32 MiB of memory here, where consecutive
//! results are kept as one: that is millions of Eventos, or some 100,000 refusals that all differ. A client that stays
//! blocked for a minute is disconnected.
//!
//! **`GET /messages`** has these response headers: `X-Total-Count`, the number of Eventos that match in total;
//! `X-Next-Cursor`, the value of `after` that continues this listing, now or later; and, if there may be more already,
//! `Link: <?…>; rel="next"`, the query of the next page, relative to the URL of the request. Cursors are valid on every instance and after a restart.
//!
//! **`GET /dead-letters`** is ordered by partition and offset of the letters in their topic. `topic`, `partition` and
//! the offsets, which are inclusive, are those of the record that failed; so is its time, which is at or after `since`
//! and before `until`. A page ends at `limit` (100; 1,000 at most) or at 8 MiB; `Link` and `X-Next-Cursor` continue it.
//! `positions=0:42,1:17` selects letters by their own partition and offset instead.
//!
//! **`POST /dead-letters/redrive`** sends the records of up to one page of letters back to the partitions that they
//! came from, with their key, value, headers and timestamp, and with the history of their failures in additional
//! headers: `eventos.redriven` and `eventos.history.N.…`. It responds once the broker has acknowledged all of them:
//! `letters` has one entry per letter, `redriven`, `skipped` (with `why`) or `failed` (with `problem`), and the status
//! is 503 if any failed. If `more` is true, repeat the request with `after` and `before` of the response; letters that
//! arrived in the meantime are then left out. Within one request at most one letter of a record is redriven; another
//! request sends the record again.
//!
//! **`POST /replay`** rewinds every partition, or one, to `from`, and never moves forward. Each partition is rewound
//! between two batches by the instance that owns it, and the new position is committed before the response.
//! `partitions` has one entry each: `rewound` or `unchanged` (with `from`, `to` and `records`, counted in offsets, some
//! of which may be empty), `elsewhere` if its owner could not be reached, or `failed` (with `why`). If any is
//! `elsewhere` or `failed`, `partial` is true and the status is 409.
//!
//! If the group has several instances, `/messages` and `/messages/{id}` on any of them cover all partitions.
//! `X-Partitions` is the number of partitions of the topic, and `X-Partitions-Covered` lists those that the response
//! covers, such as `0-3,5` (`-` for none). If an instance cannot be asked, the response is partial: still 200, with
//! `X-Partitions-Missing` (`unknown` if the group is not known) and one `X-Missing-Reason` per reason. A cursor does
//! not move in partitions that are missing, so their Eventos are not skipped. A page from several instances ends after
//! 64 MiB, with a `Link` to the next.
//!
//! Bodies may have the `Content-Encoding` gzip, deflate or zstd; limits hold for what is in them.
//!
//! Failures are reported as `application/problem+json` (RFC 9457) with `type`, `title`, `status` and `detail`; an
//! invalid Evento also has `errors`, each with a JSON pointer (RFC 6901). Unknown query parameters are refused.

mod audit;
mod auth;
mod batch;
mod body;
mod config;
mod connections;
mod content_encoding;
mod dead_letters;
mod discard;
mod exchange;
mod handlers;
mod handshake;
mod health;
mod hosts;
mod limits;
mod messages;
mod origin;
mod outbox;
mod partitions;
mod problem;
mod proof;
mod query;
mod refusal_log;
mod replay;
mod send;
mod server;
#[cfg(test)]
mod tests;

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use tokio::net::TcpListener;

use self::{
    audit::record_administration,
    auth::{Keys, require_key},
    content_encoding::{decode_body, zstd_limit},
    discard::discard_refused_bodies,
    hosts::{AllowedHosts, refuse_other_hosts},
    limits::{MemoryBudget, refuse_large_heads},
    messages::PAGES_MIB,
    origin::refuse_other_sites,
    outbox::Outbox,
    problem::{METHOD, NOT_FOUND, Problem},
    proof::{PeerAccess, require_proof},
    query::{NoParameters, Query},
    server::Limits,
};
pub use self::{
    auth::{AuthConfig, KeyConfig, Scope, hash_key},
    config::Config,
};
use crate::{
    audit::AuditLog,
    dead_letters::DeadLetters,
    event::EventoLimits,
    kafka::{ProducedTopics, Producer, Refusals},
    peers::{PROOF_PATH, Peers},
    plugin::{ChainHold, Registry},
    replay::Replayer,
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
    tls::Certificates,
};

/// The parts of the daemon that the endpoints use.
#[derive(Clone)]
pub struct State {
    /// Produces the Eventos that are sent.
    pub producer: Producer,
    /// The limits of the Eventos that are sent.
    pub evento: EventoLimits,
    /// The Eventos that this instance stores, for `/messages`.
    pub store: Store,
    /// The other instances, for `/messages` and `/replay`.
    pub peers: Peers,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// The permissions that the broker denies, for `/readyz` and `/metrics`.
    pub refusals: Refusals,
    /// The topics that records wait for, for `/readyz`.
    pub topics: ProducedTopics,
    /// The handler chain, for `/handlers` and `/readyz`.
    pub handlers: Registry,
    /// For `/dead-letters`.
    pub dead_letters: DeadLetters,
    /// For `/replay`.
    pub replayer: Replayer,
    /// To serve with TLS.
    pub certificates: Certificates,
    /// Records requests that change something.
    pub audit: AuditLog,
}

/// The state of the read-only endpoints.
#[derive(Clone)]
struct Views {
    store: Store,
    peers: Peers,
    metrics: Metrics,
    readiness: Readiness,
    refusals: Refusals,
    topics: ProducedTopics,
    hold: ChainHold,
    pages: MemoryBudget,
}

/// Serves until `shutdown` completes, then accepts no more connections and returns once the requests in progress are
/// finished. A slow client can delay that, so the caller sets a deadline: dropping the future closes all connections.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    state: State,
    shutdown: impl Future<Output = ()>,
) {
    let State {
        producer,
        evento,
        store,
        peers,
        metrics,
        readiness,
        refusals,
        topics,
        handlers,
        dead_letters,
        replayer,
        certificates,
        audit,
    } = state;
    let outbox = Outbox::new(producer, evento, metrics.clone(), refusals.clone());
    let views = Views {
        store,
        peers,
        metrics,
        readiness,
        refusals,
        topics,
        hold: handlers.hold(),
        pages: MemoryBudget::of_mib(PAGES_MIB),
    };
    let keys = Keys::new(&config.auth);
    let hosts = AllowedHosts::new(config, listener.local_addr().ok());
    let access = PeerAccess::new(views.peers.proofs(), keys.clone());
    let administration = handlers::routes(handlers)
        .merge(dead_letters::routes(dead_letters))
        .merge(replay::routes(replayer, views.peers.clone()));
    // The last layer sees a request first.
    let router = router(outbox, views, administration)
        .layer(from_fn_with_state(audit, record_administration))
        .layer(from_fn_with_state(access, require_proof))
        .layer(from_fn_with_state(keys, require_key))
        .layer(from_fn(refuse_other_sites))
        .layer(from_fn_with_state(hosts, refuse_other_hosts))
        .layer(from_fn(discard_refused_bodies));
    let limits = Limits::new(usize::try_from(config.max_connections).unwrap_or(usize::MAX));
    let serving = server::serve(listener, router, limits, certificates.clone(), shutdown);
    tokio::select! {
        () = serving => {}
        never = certificates.watch() => match never {},
    }
}

fn router(outbox: Outbox, views: Views, administration: Router) -> Router {
    let writing = Router::new()
        .route("/send", post(send::send))
        .route("/send/batch", post(batch::send_batch))
        .with_state(outbox);
    let reading = Router::new()
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::newest))
        .route("/peers/messages", get(messages::rows))
        .route(PROOF_PATH, get(proven))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/partitions", get(partitions::list))
        .with_state(views);
    writing
        .merge(reading)
        .merge(administration)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(zstd_limit(), decode_body))
        .layer(from_fn(refuse_large_heads))
}

/// Handles `GET /peers/proof`. The layer that checks the proof of the request adds that of the response.
async fn proven(Query(NoParameters {}): Query<NoParameters>) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn not_found(uri: Uri) -> Problem {
    let detail = format!("no endpoint has the path {}", uri.path());
    Problem::new(NOT_FOUND, detail)
}

/// Axum adds the header `Allow`.
async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    let detail = format!("{path} does not support {method}; the header Allow lists what it does");
    Problem::new(METHOD, detail)
}
