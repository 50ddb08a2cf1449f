//! Accepts connections, and serves each of them within limits: of time for the client, and of memory for the daemon.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    audit::ClientAddress,
    connections::{Activity, Connection, Connections},
    exchange::{Held, RequestBody, ResponseBody},
    handshake::Handshakes,
    hosts::LocalAddress,
    limits::READABLE_HEADERS,
};
use crate::tls::Certificates;

/// The largest head of a request, in bytes, and how much of a response waits for a client that does not read. A URI of
/// 65,534 bytes, the longest that hyper reads, and 30 kB of headers fit into it.
const MAX_BUFFER: usize = 96 << 10;

/// How long to wait before accepting again after an error that is not about one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client without a request may take to read the end of the response before it, when the server stops.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections may be open.
    pub(super) connections: usize,
    /// How long the head of a request may take, counted from the response before it. Also how long the TLS handshake may take.
    pub(super) head: Duration,
    /// How long the next part of a body may take.
    pub(super) body: Duration,
    /// How long a client may read nothing of a response.
    pub(super) response: Duration,
}

impl Limits {
    /// Returns the limits for this many connections.
    pub(super) fn new(connections: usize) -> Self {
        Self {
            connections,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            response: Duration::from_secs(30),
        }
    }
}

/// What the connections of a server share.
#[derive(Clone)]
struct Shared {
    router: Router,
    limits: Limits,
    handshakes: Handshakes,
    stop: CancellationToken,
}

/// Serves until `shutdown` completes, then accepts no more connections, closes those without a request, and returns once
/// the requests in progress are finished. Dropping the future closes all connections.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    certificates: Certificates,
    shutdown: impl Future<Output = ()>,
) {
    let connections = Connections::new(limits.connections);
    let shared = Shared {
        router,
        limits,
        handshakes: Handshakes::new(certificates),
        stop: CancellationToken::new(),
    };
    // Dropping it aborts the tasks.
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        tasks.spawn(serve_connection(accepted, shared.clone()));
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    shared.stop.cancel();
    while tasks.join_next().await.is_some() {}
}

/// A connection that was accepted.
struct Accepted {
    stream: TcpStream,
    client: SocketAddr,
    connection: Connection,
}

/// Accepts the next connection, and waits until there is room for it.
async fn accept(listener: &TcpListener, connections: &Connections) -> Accepted {
    loop {
        let (stream, client) = match accept_stream(listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                let of_one_connection = [
                    io::ErrorKind::ConnectionAborted,
                    io::ErrorKind::ConnectionReset,
                    io::ErrorKind::NotConnected,
                ];
                if !of_one_connection.contains(&error.kind()) {
                    tracing::warn!(%error, "cannot accept a connection");
                    connections.evict_one();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let connection = connections.admit().await;
        return Accepted {
            stream,
            client,
            connection,
        };
    }
}

async fn accept_stream(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, client) = listener.accept().await?;
    // Responses are written in one piece, so there is nothing to coalesce them with.
    stream.set_nodelay(true)?;
    Ok((stream, client))
}

async fn serve_connection(accepted: Accepted, shared: Shared) {
    let Accepted {
        stream,
        client,
        connection,
    } = accepted;
    let Shared {
        router,
        limits,
        handshakes,
        stop,
    } = shared;
    let activity = connection.activity();
    let local = stream.local_addr().ok();
    let local = local.map(|address| LocalAddress(address.ip()));
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let mut request = begin(request, activity, limits);
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        request.extensions_mut().insert(ClientAddress(client));
        let response = router.call(request);
        let activity = Arc::clone(activity);
        async move { response.await.map(|response| end(response, activity)) }
    });
    let opened = tokio::select! {
        opened = handshakes.open(stream, client, limits.head, limits.response) => opened,
        () = activity.evicted() => return,
        () = stop.cancelled() => return,
    };
    let Some(stream) = opened else {
        return;
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_BUFFER)
        .max_headers(READABLE_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = activity.evicted() => return,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            // The end of a response may still be on its way, while the rest of a head may never come.
            match activity.is_between_requests() {
                true => timeout(LAST_FLUSH, serving).await.unwrap_or(Ok(())),
                false => serving.await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %client, "a connection ended with an error");
    }
}

/// Returns the request as the endpoints get it.
fn begin(request: hyper::Request<Incoming>, activity: &Arc<Activity>, limits: Limits) -> Request {
    activity.begin_request();
    request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(RequestBody {
            body,
            activity: Arc::clone(activity),
            limit: limits.body,
            deadline: None,
        }),
    })
}

/// Returns the response as the connection gets it.
fn end(response: Response, activity: Arc<Activity>) -> Response {
    let progress = Progress(activity);
    response.map(|body| ResponseBody::holding(body, progress))
}

/// Notes how far the client has read a response, and its end when it is dropped.
struct Progress(Arc<Activity>);

impl Held for Progress {
    fn asked(&self, has_room: bool) {
        self.0.response_is_full(!has_room);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.end_response();
    }
}
