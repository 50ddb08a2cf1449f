//! Eventos go in over HTTP and come out again, to the digit and in their order.

mod batch;
mod messages;
mod one;

use eventos_testkit::{Broker, Daemon, Setup};
use reqwest::{StatusCode, blocking::Response, header::HeaderMap};
use serde_json::Value;

use crate::EVENTOS;

/// An answer, read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name);
        value.map(|value| value.to_str().expect("ASCII"))
    }

    /// A problem of this kind; answers its detail.
    #[track_caller]
    fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:eventos:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert_ne!(problem["title"].as_str().expect("a title"), "");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().expect("a whole body"),
        }
    }
}

fn start() -> (Setup, Daemon) {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    (setup, daemon)
}

fn post(daemon: &Daemon, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = daemon.client().post(daemon.url(path));
    let request = request.header("content-type", content_type);
    request.body(body.into()).send().expect("answered").into()
}

fn get(daemon: &Daemon, path: &str) -> Answer {
    let request = daemon.client().get(daemon.url(path));
    request.send().expect("answered").into()
}

/// The lines of a batch's answer.
fn lines(answer: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).expect("JSON");
    answer.lines().map(line).collect()
}
