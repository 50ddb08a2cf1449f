//! HTTP requests to other instances.

use std::{io, pin::Pin, str::FromStr, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::timeout;

use super::{
    PROOF_PATH, PeerError, PeerUrl, Proofs,
    request_proof::RequestProof,
    row::{self, MEDIA_TYPE, PeerRow},
};
use crate::{
    event::Partitions,
    http_client::{
        HeaderMap, HttpClient, HttpResponse, StatusCode, Uri,
        header::{CONTENT_TYPE, HeaderName},
    },
    store::Cursor,
    tls::Certificates,
};

/// How long a peer may take to start its rows, and between two of them.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum size of the response to a command.
const MAX_RESPONSE: usize = 4 << 20;

/// The header with the partitions that a response covers.
pub const COVERED: HeaderName = HeaderName::from_static("x-partitions-covered");

/// The header with the total number of matching Eventos.
pub const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The header with the cursor at which the rows of a response start.
pub const START: HeaderName = HeaderName::from_static("x-start-cursor");

/// Rows as they arrive.
pub type RowStream = Pin<Box<dyn Stream<Item = io::Result<PeerRow>> + Send>>;

/// The stored Eventos of a peer.
pub struct PeerRows {
    /// Partitions that the response covers.
    pub covered: Partitions,
    /// Total number of matching Eventos.
    pub total: u64,
    /// Where the rows start, in each partition that is not empty.
    pub start: Cursor,
    /// The rows.
    pub rows: RowStream,
}

/// A command to a peer, sent as a POST request.
pub struct PeerCommand {
    /// Path of the request, percent-encoded.
    pub path: &'static str,
    /// Media type of the request and of the response.
    pub media_type: &'static str,
    /// Body of the request.
    pub body: Bytes,
    /// Timeout of the whole exchange.
    pub timeout: Duration,
}

/// The client for requests to peers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: HttpClient,
    proofs: Option<Proofs>,
}

impl Client {
    pub(super) fn new(proofs: Option<Proofs>, certificates: Certificates) -> Self {
        Self {
            http: HttpClient::new(TIMEOUT, certificates),
            proofs,
        }
    }

    /// Checks that an instance of the group is at a URL, by a request that asks for nothing else.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) async fn prove(&self, url: &PeerUrl) -> Result<(), PeerError> {
        let uri = url.at(PROOF_PATH).ok_or(PeerError::TooLong)?;
        let without_secret = || Proofs::new("");
        let proofs = self.proofs.clone().unwrap_or_else(without_secret);
        let proof = RequestProof::issue(&proofs, "GET", &uri, &[])?;
        let response = self
            .http
            .get(uri, RequestProof::header(Some(&proof)))
            .await?;
        proof.check(&response)?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(PeerError::status(status)),
        }
    }

    /// Returns what proves a request, if there is a secret.
    fn proof(
        &self,
        method: &str,
        uri: &Uri,
        body: &[u8],
    ) -> Result<Option<RequestProof<'_>>, PeerError> {
        let issue = |proofs| RequestProof::issue(proofs, method, uri, body);
        self.proofs.as_ref().map(issue).transpose()
    }

    /// Requests rows from `/peers/messages`; see [`crate::http`].
    pub(super) async fn fetch_rows(
        &self,
        url: &PeerUrl,
        query: &str,
    ) -> Result<PeerRows, PeerError> {
        let uri = url.at(&format!("/peers/messages?{query}"));
        let uri = uri.ok_or(PeerError::TooLong)?;
        let proof = self.proof("GET", &uri, &[])?;
        let response = self
            .http
            .get(uri, RequestProof::header(proof.as_ref()))
            .await?;
        check(&response, proof.as_ref(), MEDIA_TYPE)?;
        let headers = response.headers();
        Ok(PeerRows {
            covered: parsed(headers, &COVERED)?,
            total: parsed(headers, &TOTAL_COUNT)?,
            start: parsed(headers, &START)?,
            rows: Box::pin(row::rows(response.into_chunks())),
        })
    }

    /// Sends a command, and returns the body of the response.
    pub(super) async fn send_command(
        &self,
        url: &PeerUrl,
        command: PeerCommand,
    ) -> Result<Bytes, PeerError> {
        let uri = url.at(command.path).ok_or(PeerError::TooLong)?;
        let proof = self.proof("POST", &uri, &command.body)?;
        let exchange = async {
            let body = (command.media_type, command.body);
            let header = RequestProof::header(proof.as_ref());
            let response = self.http.post(uri, Some(body), header).await?;
            check(&response, proof.as_ref(), command.media_type)?;
            Ok(response.read(MAX_RESPONSE).await?)
        };
        let response = timeout(command.timeout, exchange).await;
        response.unwrap_or(Err(PeerError::Timeout(command.timeout)))
    }
}

/// Checks that the response is that of an instance, that the request succeeded, and that the body has this media type.
fn check(
    response: &HttpResponse,
    proof: Option<&RequestProof<'_>>,
    media_type: &str,
) -> Result<(), PeerError> {
    if let Some(proof) = proof {
        proof.check(response)?;
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        return Err(PeerError::Unauthorized);
    }
    if response.status() != StatusCode::OK {
        return Err(PeerError::status(response.status()));
    }
    if header(response.headers(), &CONTENT_TYPE)? != media_type {
        return Err(PeerError::Unexpected("wrong content-type".to_owned()));
    }
    Ok(())
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, PeerError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| PeerError::Unexpected(format!("missing header {name}")))
}

fn parsed<T: FromStr>(headers: &HeaderMap, name: &HeaderName) -> Result<T, PeerError> {
    let value = header(headers, name)?.parse();
    value.map_err(|_| PeerError::Unexpected(format!("invalid header {name}")))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{http_client::MAX_HEAD_BYTES, tls::Config};

    fn client() -> Client {
        let certificates = Certificates::load(&Config::default());
        Client::new(None, certificates.expect("no files"))
    }

    /// Serves one request with this response. Returns the request, and what the client made of the response.
    async fn met<T>(
        answer: &str,
        ask: impl AsyncFnOnce(Client, PeerUrl) -> Result<T, PeerError>,
    ) -> (String, Result<T, PeerError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let url = PeerUrl::of("http", address).expect("it is concrete");
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
            // The client may have closed the connection before it read everything.
            let _ = connection.write_all(answer.as_bytes()).await;
            String::from_utf8(request).expect("UTF-8")
        };
        let (result, request) = tokio::join!(ask(client(), url), serve);
        (request, result)
    }

    async fn ask(answer: String) -> (String, Result<PeerRows, PeerError>) {
        let ask =
            async |client: Client, url: PeerUrl| client.fetch_rows(&url, "partitions=0-3").await;
        met(&answer, ask).await
    }

    const BODY: &str = r#"{"0":42}"#;
    const JSON: &str = "application/x+json";

    async fn tell(client: Client, url: PeerUrl) -> Result<Bytes, PeerError> {
        let command = PeerCommand {
            path: "/peers/replay",
            media_type: JSON,
            body: Bytes::from_static(BODY.as_bytes()),
            timeout: Duration::from_secs(60),
        };
        client.send_command(&url, command).await
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
        let huge = format!(
            "x-more: {}\r\ncontent-length",
            "x".repeat(4 * MAX_HEAD_BYTES)
        );
        for (answer, why) in [
            // Redirects are not followed.
            (good("302 Found", "0-2"), "status 302"),
            (good("404 Not Found", "0-2"), "status 404"),
            (good("200 OK", "all"), "invalid header x-partitions-covered"),
            (
                good("200 OK", "0").replace("x-total-count", "x-total"),
                "missing header x-total-count",
            ),
            (
                good("200 OK", "0").replace(MEDIA_TYPE, "text/html"),
                "wrong content-type",
            ),
            (
                good("200 OK", "0").replace("content-length", &huge),
                "closed the connection",
            ),
            (String::new(), "closed the connection"),
            (
                "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
                "closed the connection",
            ),
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
        let much = "x".repeat(MAX_RESPONSE + 1);
        for (answer, why) in [
            // Redirects are not followed.
            (report("307 Temporary Redirect", 2, "[]"), "status 307"),
            (report("404 Not Found", 2, "[]"), "status 404"),
            (
                report("200 OK", 2, "[]").replace(JSON, "application/json"),
                "wrong content-type",
            ),
            (report("200 OK", much.len(), &much), "length limit exceeded"),
            (report("200 OK", 3, "[]"), "closed the connection"),
            (String::new(), "closed the connection"),
        ] {
            let (_, said) = met(&answer, tell).await;
            let fault = said.expect_err(why).to_string();
            assert!(fault.contains(why), "{why}: {fault}");
        }
    }

    #[tokio::test]
    async fn nothing_came_to_one_that_is_not_there_and_one_that_is_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url =
            PeerUrl::of("http", listener.local_addr().expect("it is bound")).expect("concrete");
        let command = PeerCommand {
            path: "/peers/replay",
            media_type: JSON,
            body: Bytes::new(),
            timeout: Duration::from_millis(20),
        };
        let silent = client().send_command(&url, command).await;
        assert!(matches!(silent, Err(PeerError::Timeout(_))), "{silent:?}");
        drop(listener);
        let gone = tell(client(), url).await;
        assert!(matches!(gone, Err(PeerError::Unreachable(_))), "{gone:?}");
    }
}
