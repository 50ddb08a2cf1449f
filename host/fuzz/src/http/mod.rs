//! The query strings of HTTP requests.

#[path = "../../../src/http/query.rs"]
pub(crate) mod query;

pub(crate) mod problem {
    //! Takes the place of the problems of the daemon, which know all of its other modules.

    use axum::response::{IntoResponse, Response};

    pub(crate) struct ProblemKind;

    pub(crate) const INVALID_QUERY: ProblemKind = ProblemKind;

    pub(crate) struct Problem(String);

    impl Problem {
        pub(crate) fn new(_: ProblemKind, detail: String) -> Self {
            Self(detail)
        }
    }

    impl IntoResponse for Problem {
        fn into_response(self) -> Response {
            self.0.into_response()
        }
    }
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
    let next = query::read::<Parameters>(&next).ok().expect("it is valid");
    assert_eq!(before.tipo, next.tipo);
    assert_eq!(before.since, next.since);
    assert_eq!(before.partition, next.partition);
    assert_eq!(next.after, Some("0:1,1:2".parse().expect("a cursor")));
}
