//! The client of the commands that talk to a running daemon.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::runtime::{self, Runtime};

use crate::{
    http_client::{HeaderMap, HttpClient, HttpClientError, HttpResponse, StatusCode, Uri, header},
    tls::{Certificates, TlsFailureKind},
};

/// How long connecting may take. The response may take as long as the daemon works on it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response that is read: far more than the largest page of dead letters, 8 MiB before it is encoded as
/// JSON.
const MAX_RESPONSE_BYTES: usize = 256 << 20;

/// The options that select the daemon, and say which certificates to use with `https`.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// URL of the daemon
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    url: Uri,
    /// Key of the daemon, if it needs one
    // A key may begin with a hyphen.
    #[arg(
        long,
        value_name = "KEY",
        env = "EVENTOS_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_parser = Key::parse
    )]
    key: Option<Key>,
    /// PEM file with the authorities to trust for an https URL, or the certificate itself [default: those of the system]
    #[arg(long, value_name = "FILE", env = "EVENTOS_CA")]
    ca: Option<PathBuf>,
    /// PEM file with a certificate and its key, for a daemon that asks clients for one
    #[arg(long, value_name = "FILE", env = "EVENTOS_CERT")]
    cert: Option<PathBuf>,
}

/// A key, which is not shown in debug output.
#[derive(Clone)]
struct Key(String);

/// Sends requests to a daemon.
pub(super) struct Client {
    runtime: Runtime,
    http: HttpClient,
    url: Uri,
    /// The header `Authorization`.
    authorization: Option<String>,
}

/// A successful JSON response.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// The names and values of a query.
pub(super) type Query = Vec<(&'static str, String)>;

/// The members of a problem (RFC 9457) that are shown.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

fn url(text: &str) -> Result<Uri, String> {
    let url = text.parse::<Uri>().ok();
    let is_http = |url: &Uri| matches!(url.scheme_str(), Some("http" | "https"));
    let url = url.filter(|url| is_http(url) && url.query().is_none());
    url.ok_or_else(|| "expected a URL such as http://HOST:PORT or https://HOST:PORT".to_owned())
}

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_key = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let why = || "expected the first line that `eventos keys new` printed".to_owned();
        is_key.then(|| Self(text.to_owned())).ok_or_else(why)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Server {
    /// Returns a client for the daemon. It does not connect yet.
    ///
    /// # Errors
    /// If its runtime cannot be started, or a certificate cannot be read.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let (ca, cert) = match self.url.scheme_str() {
            Some("https") => (self.ca.as_deref(), self.cert.as_deref()),
            _ => (None, None),
        };
        // An empty variable is as good as none.
        let is_set = |path: &&Path| !path.as_os_str().is_empty();
        let certificates = Certificates::of_client(ca.filter(is_set), cert.filter(is_set))?;
        Ok(Client {
            runtime: runtime.context("cannot start the HTTP client")?,
            http: HttpClient::new(CONNECT_TIMEOUT, certificates),
            url: self.url.clone(),
            authorization: self.key.as_ref().map(|Key(key)| format!("Bearer {key}")),
        })
    }
}

impl Client {
    /// Sends a GET; the response has to be JSON.
    pub(super) fn get(&self, path: &str, query: &Query) -> anyhow::Result<Answer> {
        let uri = self.uri(path, query)?;
        self.read(async { self.http.get(uri, self.authorization.as_deref()).await })
    }

    /// Sends a POST without a body, and parses the response as JSON.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, query: &Query) -> anyhow::Result<T> {
        let uri = self.uri(path, query)?;
        let answer = self.read(async {
            self.http
                .post(uri, None, self.authorization.as_deref())
                .await
        })?;
        serde_json::from_str(&answer.text).with_context(|| self.unexpected_response())
    }

    /// Returns the error text for a response that a daemon of this version does not send.
    pub(super) fn unexpected_response(&self) -> String {
        format!(
            "the server at {} is not an eventos daemon of this version; check --url",
            self.url
        )
    }

    fn uri(&self, path: &str, query: &Query) -> anyhow::Result<Uri> {
        let mut url = self.url.to_string().trim_end_matches('/').to_owned();
        url += path;
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        for (i, (name, value)) in query.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            url += &format!("{mark}{name}={}", encoded(value));
        }
        let uri = url.parse();
        uri.with_context(|| format!("cannot build the request URL: {url:?} is not a URL"))
    }

    /// Waits for a JSON response, whatever its status. A problem is an error.
    fn read(
        &self,
        response: impl Future<Output = Result<HttpResponse, HttpClientError>>,
    ) -> anyhow::Result<Answer> {
        let response = self.runtime.block_on(response);
        let response = response.map_err(|error| self.unanswered(error))?;
        let response_status = response.status();
        let headers = response.headers().clone();
        let body = self.runtime.block_on(response.read(MAX_RESPONSE_BYTES));
        let body = body.map_err(|error| self.unanswered(error))?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let is = |kind: &str| {
            let given = headers.get(header::CONTENT_TYPE);
            given.is_some_and(|given| given.as_bytes().starts_with(kind.as_bytes()))
        };
        if is("application/problem+json") {
            let problem =
                serde_json::from_str(&text).with_context(|| self.unexpected_response())?;
            let Problem { title, detail } = problem;
            if response_status == StatusCode::UNAUTHORIZED {
                let what = "the daemon needs a key; give it with --key or in EVENTOS_KEY";
                return Err(anyhow!(detail).context(what));
            }
            return Err(
                anyhow!("{detail}").context(format!("the daemon refused the request: {title}"))
            );
        }
        if !is("application/json") {
            bail!(self.unexpected_response());
        }
        Ok(Answer { headers, text })
    }

    fn unanswered(&self, error: HttpClientError) -> anyhow::Error {
        let url = &self.url;
        let what = match &error {
            HttpClientError::Connect(_) => format!(
                "cannot reach a daemon at {url}; start one with `eventos serve`, or give the URL of another with --url"
            ),
            HttpClientError::Incomplete(_) => format!("the daemon at {url} did not respond"),
            HttpClientError::Tls(failure) => match failure.kind {
                TlsFailureKind::Untrusted => format!(
                    "the certificate of the daemon at {url} is not trusted; pass --ca FILE with the certificate of the authority \
                     that issued it"
                ),
                TlsFailureKind::OtherName => format!(
                    "the certificate of the daemon at {url} is not for this host; use a name that it is for with --url"
                ),
                TlsFailureKind::Expired => format!(
                    "the certificate of the daemon at {url} is not valid now; replace it, or correct the clock"
                ),
                TlsFailureKind::ClientRefused => format!(
                    "the daemon at {url} wants a certificate of this client; pass --cert FILE with one that it accepts, and its key"
                ),
                TlsFailureKind::NoTls => {
                    format!("the server at {url} does not speak TLS; use an http URL with --url")
                }
                TlsFailureKind::Other => {
                    format!("cannot establish a TLS connection with the daemon at {url}")
                }
            },
        };
        anyhow::Error::new(error).context(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_and_a_path_before_ours_stays() {
        let server = Server {
            url: url("http://host:1/behind/").expect("a URL"),
            key: None,
            ca: None,
            cert: None,
        };
        let client = server.client().expect("a client");
        let query = vec![
            ("since", "2026-01-31T12:00:00+01:00".to_owned()),
            ("all", "true".to_owned()),
        ];
        assert_eq!(
            client.uri("/replay", &query).expect("a URL"),
            "http://host:1/behind/replay?since=2026%2D01%2D31T12%3A00%3A00%2B01%3A00&all=true"
        );
        for other in ["host:1", "ftp://host", "http://", "http://host/?x=1", ""] {
            assert!(url(other).is_err(), "{other}");
        }
    }
}
