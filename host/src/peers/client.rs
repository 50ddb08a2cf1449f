//! Asking another instance for what it has.

use std::{error::Error as _, io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http_body_util::{BodyDataStream, Empty};
use hyper::{
    HeaderMap, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::{
    PeerUrl,
    row::{self, MEDIA_TYPE, Row},
};
use crate::{event::Partitions, store::Cursor};

/// How long a peer may take to begin its answer, and to go on with it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The headers of an answer, at most, and what one read brings beyond.
const HEADERS: usize = 64 << 10;

/// The header with the partitions that an answer covers.
pub const COVERED: HeaderName = HeaderName::from_static("x-partitions-covered");

/// The header with the number of Eventos that match in all.
pub const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The header with the cursor from which an answer's rows were read.
pub const START: HeaderName = HeaderName::from_static("x-start-cursor");

/// Why a peer's answer, or its rest, is not there. The text is for clients too.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It took too long.
    #[error("does not answer within {PATIENCE:?}")]
    Slow,
    /// There was no talking to it.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It is something else, or another version.
    #[error("answers otherwise than an instance of this version: {0}")]
    Foreign(String),
}

/// Rows as they come in.
pub type Rows = Pin<Box<dyn Stream<Item = io::Result<Row>> + Send>>;

/// What a peer has of what it was asked for.
pub struct Answer {
    /// The partitions that it answers for.
    pub covered: Partitions,
    /// How many Eventos match in all.
    pub total: u64,
    /// Where the rows begin, in each of its partitions that holds anything.
    pub start: Cursor,
    /// The rows.
    pub rows: Rows,
}

/// Asks. It follows no redirects, heeds no proxy, and sends no credentials. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client(legacy::Client<HttpConnector, Empty<Bytes>>);

impl Client {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(HEADERS);
        Self(builder.build(connector))
    }

    /// Asks for rows, as [`crate::http`] has them at `/peers/messages`.
    pub(super) async fn ask(&self, url: &PeerUrl, query: &str) -> Result<Answer, Fault> {
        let uri = url.at(&format!("/peers/messages?{query}"));
        let answer = timeout(PATIENCE, self.0.get(uri)).await;
        let answer = answer.map_err(|_| Fault::Slow)?.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(Fault::Foreign(format!("status {}", answer.status())));
        }
        let headers = answer.headers();
        if header(headers, &CONTENT_TYPE)? != MEDIA_TYPE {
            return Err(Fault::Foreign("another content-type".to_owned()));
        }
        Ok(Answer {
            covered: parsed(headers, &COVERED)?,
            total: parsed(headers, &TOTAL_COUNT)?,
            start: parsed(headers, &START)?,
            rows: rows(answer.into_body()),
        })
    }
}

fn rows(body: Incoming) -> Rows {
    let bytes = BodyDataStream::new(body).map_err(io::Error::other);
    Box::pin(row::rows(bytes))
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Fault> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Fault::Foreign(format!("no header {name}")))
}

fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Result<T, Fault> {
    let value = header(headers, name)?.parse();
    value.map_err(|_| Fault::Foreign(format!("a header {name} that is none")))
}

/// The innermost cause says it best: "connection refused".
fn unreachable(error: legacy::Error) -> Fault {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    Fault::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Something that answers one request with this; what it was asked, and what came of it.
    async fn ask(answer: String) -> (String, Result<Answer, Fault>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let url = PeerUrl::of(address).expect("it is concrete");
        let client = Client::new();
        let asked = client.ask(&url, "partitions=0-3");
        let serve = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                connection.read_exact(&mut byte).await.expect("a request");
                request.push(byte[0]);
            }
            // It may have hung up before it read everything.
            let _ = connection.write_all(answer.as_bytes()).await;
            String::from_utf8(request).expect("UTF-8")
        };
        let (result, request) = tokio::join!(asked, serve);
        (request, result)
    }

    fn good(status: &str, covered: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {MEDIA_TYPE}\r\nx-total-count: 7\r\n\
             x-partitions-covered: {covered}\r\nx-start-cursor: 0:1\r\nlocation: /else\r\n\
             content-length: 0\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn it_asks_plainly_and_reads_the_headers() {
        let (request, answer) = ask(good("200 OK", "0-2")).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.covered.to_string(), answer.total),
            ("0-2".to_owned(), 7)
        );
        assert_eq!(answer.start.to_string(), "0:1");
        let request = request.to_lowercase();
        assert!(
            request.starts_with("get /peers/messages?partitions=0-3 http/1.1"),
            "{request}"
        );
        for secret in ["authorization", "cookie"] {
            assert!(!request.contains(secret), "{request}");
        }
    }

    #[tokio::test]
    async fn what_is_no_peer_is_refused() {
        let huge = format!("x-more: {}\r\ncontent-length", "x".repeat(4 * HEADERS));
        for (answer, why) in [
            // It is not followed.
            (good("302 Found", "0-2"), "status 302"),
            (good("404 Not Found", "0-2"), "status 404"),
            (
                good("200 OK", "all"),
                "a header x-partitions-covered that is none",
            ),
            (
                good("200 OK", "0").replace("x-total-count", "x-total"),
                "no header x-total-count",
            ),
            (
                good("200 OK", "0").replace(MEDIA_TYPE, "text/html"),
                "another content-type",
            ),
            (
                good("200 OK", "0").replace("content-length", &huge),
                "cannot be reached",
            ),
            (String::new(), "cannot be reached"),
            ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "cannot be reached"),
        ] {
            let (_, result) = ask(answer).await;
            let fault = result.err().expect(why).to_string();
            assert!(fault.contains(why), "{why}: {fault}");
        }
    }
}
