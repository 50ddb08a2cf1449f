//! The HTTP client of the commands that talk to a running daemon.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hyper::{HeaderMap, Method, Request, Uri, header};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::runtime::{self, Runtime};

/// How long a connection may take to come about. An answer may take as long as the daemon works on it.
const CONNECT: Duration = Duration::from_secs(5);

/// Which daemon is meant.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The daemon's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    url: Uri,
}

/// Talks to a daemon.
pub(super) struct Client {
    runtime: Runtime,
    http: legacy::Client<HttpConnector, Empty<Bytes>>,
    url: Uri,
}

/// What it says, unless that is a problem.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub text: String,
}

/// A query: names and values.
pub(super) type Query = Vec<(&'static str, String)>;

/// RFC 9457, as far as people are told.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

fn url(text: &str) -> Result<Uri, String> {
    let url = text.parse::<Uri>().ok();
    let url = url.filter(|url| url.scheme_str() == Some("http") && url.query().is_none());
    url.ok_or_else(|| "expected http://HOST:PORT".to_owned())
}

impl Server {
    /// A client of it. Nothing is sent yet.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        Ok(Client {
            runtime: runtime.context("cannot make an HTTP client")?,
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            url: self.url.clone(),
        })
    }
}

impl Client {
    /// GET.
    pub(super) fn get(&self, path: &str, query: &Query) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, query)
    }

    /// POST without a body; the answer, read as JSON.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, query: &Query) -> anyhow::Result<T> {
        let answer = self.ask(Method::POST, path, query)?;
        serde_json::from_str(&answer.text).with_context(|| self.foreign())
    }

    /// That what answers is something else.
    pub(super) fn foreign(&self) -> String {
        format!("what answers at {} is no eventos of this version", self.url)
    }

    fn at(&self, path: &str, query: &Query) -> String {
        let mut url = self.url.to_string().trim_end_matches('/').to_owned();
        url += path;
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        for (i, (name, value)) in query.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            url += &format!("{mark}{name}={}", encoded(value));
        }
        url
    }

    /// An answer that is no problem, whatever its status.
    fn ask(&self, method: Method, path: &str, query: &Query) -> anyhow::Result<Answer> {
        let request = Request::builder().method(method).uri(self.at(path, query));
        let request = request.body(Empty::new()).context("no URL comes of that")?;
        let answer = self.runtime.block_on(self.http.request(request));
        let (parts, body) = answer.map_err(|error| self.unanswered(error))?.into_parts();
        let body = self.runtime.block_on(body.collect());
        let body = body.context("the daemon's answer broke off")?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        let is = |kind: &str| {
            let given = parts.headers.get(header::CONTENT_TYPE);
            given.is_some_and(|given| given.as_bytes().starts_with(kind.as_bytes()))
        };
        if is("application/problem+json") {
            let problem = serde_json::from_str(&text).with_context(|| self.foreign())?;
            let Problem { title, detail } = problem;
            return Err(anyhow!("{detail}").context(format!("the daemon refuses: {title}")));
        }
        if !is("application/json") {
            bail!(self.foreign());
        }
        let headers = parts.headers;
        Ok(Answer { headers, text })
    }

    fn unanswered(&self, error: legacy::Error) -> anyhow::Error {
        let url = &self.url;
        let what = match error.is_connect() {
            true => format!(
                "no daemon answers at {url}; start one with `eventos serve`, or say with --url where it is"
            ),
            false => format!("the daemon at {url} did not answer"),
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
            url: url("http://host:1/behind/").expect("one"),
        };
        let client = server.client().expect("one");
        let query = vec![
            ("since", "2026-01-31T12:00:00+01:00".to_owned()),
            ("all", "true".to_owned()),
        ];
        assert_eq!(
            client.at("/replay", &query),
            "http://host:1/behind/replay?since=2026%2D01%2D31T12%3A00%3A00%2B01%3A00&all=true"
        );
        for other in [
            "host:1",
            "https://host",
            "ftp://host",
            "http://",
            "http://host/?x=1",
            "",
        ] {
            assert!(url(other).is_err(), "{other}");
        }
    }
}
