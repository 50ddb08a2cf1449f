//! Asking another instance for what it has, or to do its part of something.

use std::{io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http_body_util::{BodyDataStream, BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
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

/// How long a peer may take to begin its rows, and to go on with them.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The headers of an answer, at most, and what one read brings beyond.
const HEADERS: usize = 64 << 10;

/// What a peer that was told to do something answers, at most.
const REPORT: usize = 4 << 20;

/// The header with the partitions that an answer covers.
pub const COVERED: HeaderName = HeaderName::from_static("x-partitions-covered");

/// The header with the number of Eventos that match in all.
pub const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The header with the cursor from which an answer's rows were read.
pub const START: HeaderName = HeaderName::from_static("x-start-cursor");

/// Why a peer's answer, or its rest, is not there. The text is for clients too.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It took longer than this.
    #[error("does not answer within {0:?}")]
    Slow(Duration),
    /// There is no connection to it: nothing came to it.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It was asked, and its answer does not come, or not to its end.
    #[error("breaks off: {0}")]
    Broken(String),
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

/// What a peer is told to do.
pub struct Command {
    /// The path of a POST, with nothing to be encoded in it.
    pub path: &'static str,
    /// That of the body and of the answer.
    pub media_type: &'static str,
    /// What is posted.
    pub body: Bytes,
    /// How long it may take over it, the answer included.
    pub patience: Duration,
}

/// Asks. It follows no redirects, heeds no proxy, and sends no credentials. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

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
        let answer = answer.map_err(|_| Fault::Slow(PATIENCE))?.map_err(lost)?;
        check(&answer, MEDIA_TYPE)?;
        let headers = answer.headers();
        Ok(Answer {
            covered: parsed(headers, &COVERED)?,
            total: parsed(headers, &TOTAL_COUNT)?,
            start: parsed(headers, &START)?,
            rows: rows(answer.into_body()),
        })
    }

    /// Tells it to do something; what it says of that.
    pub(super) async fn tell(&self, url: &PeerUrl, command: Command) -> Result<Bytes, Fault> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.at(command.path))
            .header(CONTENT_TYPE, command.media_type)
            .body(Full::new(command.body));
        let request = request.expect("its parts are valid each");
        let told = async {
            let answer = self.0.request(request).await.map_err(lost)?;
            check(&answer, command.media_type)?;
            let report = Limited::new(answer.into_body(), REPORT).collect().await;
            let report = report.map_err(|error| Fault::Broken(innermost(&*error)))?;
            Ok(report.to_bytes())
        };
        let told = timeout(command.patience, told).await;
        told.unwrap_or(Err(Fault::Slow(command.patience)))
    }
}

/// Whether it answers, and in this format.
fn check(answer: &Response<Incoming>, media_type: &str) -> Result<(), Fault> {
    if answer.status() != StatusCode::OK {
        return Err(Fault::Foreign(format!("status {}", answer.status())));
    }
    if header(answer.headers(), &CONTENT_TYPE)? != media_type {
        return Err(Fault::Foreign("another content-type".to_owned()));
    }
    Ok(())
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

fn lost(error: legacy::Error) -> Fault {
    let text = innermost(&error);
    match error.is_connect() {
        true => Fault::Unreachable(text),
        false => Fault::Broken(text),
    }
}

/// The innermost cause says it best: "connection refused".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Something that answers one request with this; what it was asked, and what came of it.
    async fn met<T>(
        answer: &str,
        ask: impl AsyncFnOnce(Client, PeerUrl) -> Result<T, Fault>,
    ) -> (String, Result<T, Fault>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let url = PeerUrl::of(address).expect("it is concrete");
        let serve = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                connection.read_exact(&mut byte).await.expect("a request");
                request.push(byte[0]);
            }
            if request.starts_with(b"POST") {
                let mut body = [0; BODY.len()];
                connection.read_exact(&mut body).await.expect("a body");
                request.extend(body);
            }
            // It may have hung up before it read everything.
            let _ = connection.write_all(answer.as_bytes()).await;
            String::from_utf8(request).expect("UTF-8")
        };
        let (result, request) = tokio::join!(ask(Client::new(), url), serve);
        (request, result)
    }

    async fn ask(answer: String) -> (String, Result<Answer, Fault>) {
        let ask = async |client: Client, url: PeerUrl| client.ask(&url, "partitions=0-3").await;
        met(&answer, ask).await
    }

    const BODY: &str = r#"{"0":42}"#;
    const JSON: &str = "application/x+json";

    async fn tell(client: Client, url: PeerUrl) -> Result<Bytes, Fault> {
        let command = Command {
            path: "/peers/replay",
            media_type: JSON,
            body: Bytes::from_static(BODY.as_bytes()),
            patience: Duration::from_secs(60),
        };
        client.tell(&url, command).await
    }

    fn report(status: &str, length: usize, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {JSON}\r\nlocation: /else\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
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
                "breaks off",
            ),
            (String::new(), "breaks off"),
            ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "breaks off"),
        ] {
            let (_, result) = ask(answer).await;
            let fault = result.err().expect(why).to_string();
            assert!(fault.contains(why), "{why}: {fault}");
        }
    }

    #[tokio::test]
    async fn it_tells_plainly_and_reads_what_is_said() {
        let (request, said) = met(&report("200 OK", 2, "[]"), tell).await;
        assert_eq!(said.expect("an answer"), "[]");
        let request = request.to_lowercase();
        assert!(
            request.starts_with("post /peers/replay http/1.1"),
            "{request}"
        );
        assert!(
            request.contains(&format!("content-type: {JSON}")),
            "{request}"
        );
        assert!(request.ends_with(BODY), "{request}");
        for secret in ["authorization", "cookie"] {
            assert!(!request.contains(secret), "{request}");
        }
    }

    #[tokio::test]
    async fn what_says_too_much_or_something_else_is_refused() {
        let much = "x".repeat(REPORT + 1);
        for (answer, why) in [
            // It is not told again elsewhere.
            (report("307 Temporary Redirect", 2, "[]"), "status 307"),
            (report("404 Not Found", 2, "[]"), "status 404"),
            (
                report("200 OK", 2, "[]").replace(JSON, "application/json"),
                "another content-type",
            ),
            (report("200 OK", much.len(), &much), "length limit exceeded"),
            (report("200 OK", 3, "[]"), "breaks off"),
            (String::new(), "breaks off"),
        ] {
            let (_, said) = met(&answer, tell).await;
            let fault = said.expect_err(why).to_string();
            assert!(fault.contains(why), "{why}: {fault}");
        }
    }

    #[tokio::test]
    async fn nothing_came_to_one_that_is_not_there_and_one_that_is_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = PeerUrl::of(listener.local_addr().expect("it is bound")).expect("concrete");
        let command = Command {
            path: "/peers/replay",
            media_type: JSON,
            body: Bytes::new(),
            patience: Duration::from_millis(20),
        };
        let silent = Client::new().tell(&url, command).await;
        assert!(matches!(silent, Err(Fault::Slow(_))), "{silent:?}");
        drop(listener);
        let gone = tell(Client::new(), url).await;
        assert!(matches!(gone, Err(Fault::Unreachable(_))), "{gone:?}");
    }
}
