//! The parsers of HTTP requests. The modules around them, which know the rest of the daemon, are replaced.

pub(crate) mod batch;
#[path = "../../../src/http/content_encoding.rs"]
mod content_encoding;
#[path = "../../../src/http/query.rs"]
mod query;

use axum::{Router, middleware::from_fn_with_state};

pub(crate) mod body {
    //! Takes the place of the limits of bodies.

    /// Much shorter than in the daemon, so that short inputs exceed it.
    pub(crate) const MAX_EVENTO: usize = 100;
}

pub(crate) mod limits {
    //! Takes the place of the limits of concurrency: requests come one after the other.

    use super::problem::Problem;

    #[derive(Clone)]
    pub(crate) struct ConcurrencyLimit;

    impl ConcurrencyLimit {
        pub(crate) fn new(_: usize) -> Self {
            Self
        }

        pub(crate) async fn admit(&self, _: &str) -> Result<Self, Problem> {
            Ok(Self)
        }
    }
}

pub(crate) mod problem {
    //! Takes the place of the problems of the daemon, which know all of its other modules.

    use axum::response::{IntoResponse, Response};

    pub(crate) struct ProblemKind;

    pub(crate) const ENCODING: ProblemKind = ProblemKind;
    pub(crate) const INVALID_QUERY: ProblemKind = ProblemKind;
    pub(crate) const MALFORMED_JSON: ProblemKind = ProblemKind;

    #[derive(Debug)]
    pub(crate) struct Problem(String);

    impl Problem {
        pub(crate) fn new(_: ProblemKind, detail: impl Into<String>) -> Self {
            Self(detail.into())
        }
    }

    impl IntoResponse for Problem {
        fn into_response(self) -> Response {
            self.0.into_response()
        }
    }
}

/// Returns this server, with the layer that unpacks bodies.
pub(crate) fn unpacking(server: Router) -> Router {
    let zstd = content_encoding::zstd_limit();
    server.layer(from_fn_with_state(zstd, content_encoding::decode_body))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Parameters {
    tipo: Option<String>,
    #[serde(deserialize_with = "query::from_text")]
    after: Option<crate::store::Cursor>,
    #[serde(deserialize_with = "query::switch")]
    all: bool,
    #[serde(deserialize_with = "query::partition")]
    partition: Option<crate::event::Partition>,
    #[serde(deserialize_with = "query::offset")]
    from_offset: Option<crate::event::Offset>,
    #[serde(deserialize_with = "query::time")]
    since: Option<crate::event::Timestamp>,
}

pub(crate) fn parse(text: &str) {
    let Ok(uri) = format!("/messages?{text}").parse::<axum::http::Uri>() else {
        return;
    };
    let before = query::read::<Parameters>(&uri);
    let link = query::next_page_link(uri.query(), "0:1,1:2");
    let Ok(before) = before else {
        return;
    };
    // What was read is read again from the link to the next page.
    let link = link.to_str().expect("ASCII");
    assert!(!link.contains(','), "{link}");
    let (_, rest) = link.split_once('?').expect("a query");
    let (next, _) = rest.split_once('>').expect("an end");
    let next = format!("/messages?{next}").parse().expect("a URI");
    let next = query::read::<Parameters>(&next).expect("it is valid");
    assert_eq!(before.tipo, next.tipo);
    assert_eq!(before.since, next.since);
    assert_eq!(before.partition, next.partition);
    assert_eq!(next.after, Some("0:1,1:2".parse().expect("a cursor")));
}
