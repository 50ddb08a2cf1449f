//! An HTTP answer whose body was read.

use reqwest::{StatusCode, blocking::Response, header::HeaderMap};
use serde_json::Value;

/// An HTTP answer of a daemon, with its body.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
    /// Path of the request.
    path: String,
}

impl Answer {
    /// Parses the body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// Parses a body that has one JSON value per line.
    #[must_use]
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        crate::json_lines(&self.text)
    }

    /// Returns the value of a header, if the answer has it.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name);
        value.map(|value| value.to_str().expect("ASCII"))
    }

    /// Returns the path and query of the next page from the header `Link`, or `None` on the last page.
    #[must_use]
    #[track_caller]
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link")?.strip_prefix('<')?;
        let query = link.strip_suffix(">; rel=\"next\"");
        let query = query.expect("a link to the next page");
        assert!(query.starts_with('?') && !query.contains(','), "{query}");
        Some(format!("{}{query}", self.path))
    }

    /// Checks that the answer has this status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Checks that the answer is a problem of RFC 9457 with this status and type. Returns its detail.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> String {
        self.assert_status(status);
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
            path: response.url().path().to_owned(),
            text: response.text().expect("a whole body"),
        }
    }
}
