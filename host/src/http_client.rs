//! The HTTP client of the daemon and of the command line: the only module that sends requests with hyper.
//!
//! It follows no redirects, uses no proxy and sends no credentials. Connecting, with TLS for `https` URLs, idle connections and
//! the size of a response's head are bounded here. How long a response may take is up to the caller, and so is the size of its body:
//! see [`HttpResponse::read`].

use std::{
    error::Error,
    io, iter,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http_body_util::{BodyDataStream, BodyExt as _, Full, Limited};
pub(crate) use hyper::{HeaderMap, StatusCode, Uri, header};
use hyper::{Method, Request, Response, body::Incoming, header::HeaderValue, http::request};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

use crate::tls::{Certificates, TlsFailure, TlsFailureKind};

/// The largest head of a response, in bytes; also how much is read from a connection at a time.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long an unused connection is kept open: less than the 30 s after which the daemon closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct HttpClient(legacy::Client<Connector, Full<Bytes>>);

/// Connects to servers, with the certificates as they are at that time.
#[derive(Clone)]
struct Connector {
    tcp: HttpConnector,
    certificates: Certificates,
    /// How long connecting may take, including TLS.
    timeout: Duration,
}

/// A response whose head has arrived.
pub(crate) struct HttpResponse(Response<Incoming>);

/// A request that got no response, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpClientError {
    /// No connection was established, so the server has not seen the request.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS could not be established, so the server has not seen the request.
    #[error("cannot connect with TLS: {0}")]
    Tls(TlsFailure),
    /// The request may have reached the server, but its response is missing or incomplete.
    #[error("the response is incomplete: {0}")]
    Incomplete(String),
}

impl HttpClient {
    /// Returns a client that gives up connecting after `connect_timeout`, and that uses these certificates for `https` URLs.
    pub(crate) fn new(connect_timeout: Duration, certificates: Certificates) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let connector = Connector {
            tcp,
            certificates,
            timeout: connect_timeout,
        };
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(MAX_HEAD_BYTES);
        Self(builder.build(connector))
    }

    /// Sends a GET, with a header `Authorization` if that is given, and waits for the head of the response.
    ///
    /// # Errors
    /// If the server cannot be reached or does not respond.
    pub(crate) async fn get(
        &self,
        uri: Uri,
        authorization: Option<&str>,
    ) -> Result<HttpResponse, HttpClientError> {
        let request = authorize(Request::builder().uri(uri), authorization);
        self.send(request, Bytes::new()).await
    }

    /// Sends a POST with an optional body, given as its media type and its bytes, and a header `Authorization` if that is
    /// given, and waits for the head of the response.
    ///
    /// # Errors
    /// If the server cannot be reached or does not respond.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        body: Option<(&str, Bytes)>,
        authorization: Option<&str>,
    ) -> Result<HttpResponse, HttpClientError> {
        let request = Request::builder().method(Method::POST).uri(uri);
        let request = authorize(request, authorization);
        match body {
            Some((media_type, body)) => {
                let request = request.header(header::CONTENT_TYPE, media_type);
                self.send(request, body).await
            }
            None => self.send(request, Bytes::new()).await,
        }
    }

    async fn send(
        &self,
        request: request::Builder,
        body: Bytes,
    ) -> Result<HttpResponse, HttpClientError> {
        let request = request
            .body(Full::new(body))
            .expect("the URI is parsed and a media type is a valid header value");
        let response = self.0.request(request).await;
        response.map(HttpResponse).map_err(|error| {
            // A server that wants a certificate of this client says so after this client regards the connection as
            // established. Other failures can come later, and then the server may have seen the request.
            let failure = TlsFailure::find(&error);
            let is_early = |failure: &TlsFailure| {
                error.is_connect() || failure.kind == TlsFailureKind::ClientRefused
            };
            if let Some(failure) = failure.filter(is_early) {
                return HttpClientError::Tls(failure);
            }
            let cause = innermost_cause(&error);
            match error.is_connect() {
                true => HttpClientError::Connect(cause),
                false => HttpClientError::Incomplete(cause),
            }
        })
    }
}

/// Adds the header `Authorization`, which is not shown in debug output.
fn authorize(request: request::Builder, authorization: Option<&str>) -> request::Builder {
    match authorization.and_then(|text| HeaderValue::from_str(text).ok()) {
        Some(mut value) => {
            value.set_sensitive(true);
            request.header(header::AUTHORIZATION, value)
        }
        None => request,
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self {
            mut tcp,
            certificates,
            timeout: limit,
        } = self.clone();
        let connect = async move {
            if uri.scheme_str() != Some("https") {
                return Ok(MaybeHttpsStream::Http(tcp.call(uri).await?));
            }
            // It may read the authorities of the system.
            let config = tokio::task::spawn_blocking(move || certificates.client()).await?;
            HttpsConnector::from((tcp, config)).call(uri).await
        };
        Box::pin(async move {
            match timeout(limit, connect).await {
                Ok(connected) => connected,
                Err(_) => {
                    let message =
                        format!("the server did not accept the connection within {limit:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
                }
            }
        })
    }
}

impl HttpResponse {
    /// Returns the status code.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Reads a body of at most `max_bytes`.
    ///
    /// # Errors
    /// If the body is longer, or ends before it is complete.
    pub(crate) async fn read(self, max_bytes: usize) -> Result<Bytes, HttpClientError> {
        let body = Limited::new(self.0.into_body(), max_bytes).collect().await;
        let body = body.map_err(|error| HttpClientError::Incomplete(innermost_cause(&*error)))?;
        Ok(body.to_bytes())
    }

    /// Returns the body in chunks, as they arrive.
    pub(crate) fn into_chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        BodyDataStream::new(self.0.into_body()).map_err(io::Error::other)
    }
}

/// Returns the text of the innermost cause, such as "connection refused": the outer ones only say that there is one.
fn innermost_cause(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.last().unwrap_or(error).to_string()
}
