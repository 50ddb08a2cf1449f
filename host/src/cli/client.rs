//! The HTTP client of the commands that talk to a running daemon.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::{
    Url,
    blocking::{Client as Http, RequestBuilder, Response},
    header,
};
use serde::{Deserialize, de::DeserializeOwned};

/// How long a connection may take to come about. An answer may take as long as the daemon works on it.
const CONNECT: Duration = Duration::from_secs(5);

/// Which daemon is meant.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The daemon's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    url: Url,
}

/// Talks to a daemon.
pub(super) struct Client {
    http: Http,
    url: Url,
}

/// A query: names and values.
pub(super) type Query = Vec<(&'static str, String)>;

/// RFC 9457, as far as people are told.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.has_host());
    match url {
        Some(url) if url.scheme() == "http" => Ok(url),
        _ => Err("expected http://HOST:PORT".to_owned()),
    }
}

impl Server {
    /// A client of it. Nothing is sent yet.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let http = Http::builder()
            .connect_timeout(CONNECT)
            .timeout(None)
            .no_proxy();
        Ok(Client {
            http: http.build().context("cannot make an HTTP client")?,
            url: self.url.clone(),
        })
    }
}

impl Client {
    /// GET; the answer, with its headers.
    pub(super) fn get(&self, path: &str, query: &Query) -> anyhow::Result<Response> {
        self.ask(self.http.get(self.at(path, query)))
    }

    /// POST without a body; the answer, read as JSON.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, query: &Query) -> anyhow::Result<T> {
        let answer = self.ask(self.http.post(self.at(path, query)))?;
        let text = answer.text().context("the daemon's answer broke off")?;
        serde_json::from_str(&text).with_context(|| self.foreign())
    }

    /// That what answers is something else.
    pub(super) fn foreign(&self) -> String {
        format!("what answers at {} is no eventos of this version", self.url)
    }

    fn at(&self, path: &str, query: &Query) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// An answer that is no problem, whatever its status.
    fn ask(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().map_err(|error| self.unanswered(error))?;
        let is = |kind: &str| {
            let given = answer.headers().get(header::CONTENT_TYPE);
            given.is_some_and(|given| given.as_bytes().starts_with(kind.as_bytes()))
        };
        if is("application/problem+json") {
            let text = answer.text().context("the daemon's answer broke off")?;
            let problem = serde_json::from_str(&text).with_context(|| self.foreign())?;
            let Problem { title, detail } = problem;
            return Err(anyhow!("{detail}").context(format!("the daemon refuses: {title}")));
        }
        if !is("application/json") {
            bail!(self.foreign());
        }
        Ok(answer)
    }

    fn unanswered(&self, error: reqwest::Error) -> anyhow::Error {
        let url = &self.url;
        let what = match error.is_connect() {
            true => format!(
                "no daemon answers at {url}; start one with `eventos serve`, or say with --url where it is"
            ),
            false => format!("the daemon at {url} did not answer"),
        };
        anyhow::Error::new(error.without_url()).context(what)
    }
}
