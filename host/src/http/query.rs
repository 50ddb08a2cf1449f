//! Query strings: read into a struct that derives `Deserialize`, and written into links to the next page.

use std::{error::Error, fmt::Display, iter, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query as AxumQuery},
    http::{HeaderValue, Uri, request::Parts},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::problem::{INVALID_QUERY, Problem};
use crate::event::{Offset, Partition, Timestamp};

/// What stays readable in a link: the unreserved characters of RFC 3986, and colons. Many clients take a comma in a header for the
/// end of a link.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// The query string of a request, as `application/x-www-form-urlencoded`. `T` should deny unknown fields.
///
/// The extractor of axum responds with plain text, and replaces bytes that are not UTF-8.
pub(super) struct Query<T>(pub(super) T);

/// The query of an endpoint without parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.uri).map(Self)
    }
}

/// Reads the query of a URI.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let query = uri.query().unwrap_or_default();
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(invalid(format_args!("the query {query:?} is not UTF-8")));
    }
    match AxumQuery::try_from_uri(uri) {
        Ok(AxumQuery(value)) => Ok(value),
        Err(rejection) => Err(invalid(in_terms_of_queries(&innermost(&rejection)))),
    }
}

/// Returns the problem of a query that cannot be understood.
pub(super) fn invalid(detail: impl Display) -> Problem {
    Problem::new(INVALID_QUERY, detail.to_string())
}

/// Deserializes a parameter from its text, for `#[serde(deserialize_with = "…")]`. The error of `T` has to name the
/// value and what would be right.
pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Deserializes a parameter with `parse`; where that returns None, the error says what is `expected`.
pub(super) fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = parse(&text);
    parsed.ok_or_else(|| D::Error::custom(format_args!("{text:?} is not {expected}")))
}

/// Deserializes `true` or `false`.
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    parsed(deserializer, "true or false", |text| text.parse().ok())
}

/// Deserializes the number of a partition.
pub(super) fn partition<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Partition>, D::Error> {
    let expected = "the number of a partition";
    let number = parsed(deserializer, expected, |text| text.parse().ok());
    number.map(|number| Some(Partition(number)))
}

/// Deserializes an offset.
pub(super) fn offset<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Offset>, D::Error> {
    let number = parsed(deserializer, "an offset", |text| text.parse().ok());
    number.map(|number| Some(Offset(number)))
}

/// Deserializes a time: RFC 3339, or milliseconds since 1970.
pub(super) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let expected = "a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970";
    parsed(deserializer, expected, Timestamp::read).map(Some)
}

/// Returns the header `Link` with the next page: the same query, continued after `cursor`. It has no path, so that it is right
/// behind a proxy, too, which serves the daemon under another one.
pub(super) fn next_page_link(query: Option<&str>, cursor: &str) -> HeaderValue {
    let query = query.unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (form_decoded(name), form_decoded(value));
        (!name.is_empty() && name != "after").then_some((name, value))
    });
    let query = encoded(pairs.chain([("after".to_owned(), cursor.to_owned())]));
    let link = format!("<?{query}>; rel=\"next\"");
    HeaderValue::from_str(&link).expect("a percent-encoded query is ASCII")
}

/// Returns names and values as a query string.
pub(super) fn encoded<N: AsRef<str>>(pairs: impl IntoIterator<Item = (N, String)>) -> String {
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| format!("{}={}", escaped(name.as_ref()), escaped(&value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> impl Display {
    utf8_percent_encode(text, UNESCAPED)
}

fn form_decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Returns the text of the innermost error: those around it only say that a query could not be deserialized.
fn innermost(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |&error| error.source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Replaces what serde says of fields. The text begins with the name of the parameter, unless one is missing.
fn in_terms_of_queries(error: &str) -> String {
    if let Some((before, rest)) = error.split_once(" field ") {
        let kind = before.rsplit(": ").next().unwrap_or_default();
        if matches!(kind, "unknown" | "duplicate" | "missing") {
            let rest = rest.replace("there are no fields", "there are none here");
            return format!("{kind} query parameter {rest}");
        }
    }
    format!("query parameter {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Parameters {
        tipo: Option<String>,
        id: Option<String>,
        after: Option<String>,
        #[serde(deserialize_with = "switch")]
        all: bool,
        #[serde(deserialize_with = "partition")]
        partition: Option<Partition>,
    }

    fn read<T: DeserializeOwned>(query: &str) -> Result<T, String> {
        super::read(&format!("/?{query}").parse().expect("a URI")).map_err(|problem| {
            let problem = serde_json::to_value(problem).expect("JSON");
            problem["detail"].as_str().expect("a text").to_owned()
        })
    }

    #[test]
    fn parameters_come_back_from_a_link() {
        let query = "tipo=a%26b+c&id=%C3%A9%2F&after=0:1&";
        let parameters: Parameters = read(query).expect("valid");
        assert_eq!(parameters.tipo.as_deref(), Some("a&b c"));
        assert_eq!(parameters.id.as_deref(), Some("é/"));
        let link = next_page_link(Some(query), "0:2,1:7.1");
        let link = link.to_str().expect("ASCII");
        let next = "tipo=a%26b%20c&id=%C3%A9%2F&after=0:2%2C1:7.1";
        assert_eq!(link, format!("<?{next}>; rel=\"next\""));
        let again: Parameters = read(next).expect("valid");
        assert_eq!(again.tipo, parameters.tipo);
        assert_eq!(again.after.as_deref(), Some("0:2,1:7.1"));
        assert_eq!(next_page_link(None, "0:1"), "<?after=0:1>; rel=\"next\"");
    }

    #[test]
    fn what_is_unknown_twice_or_not_utf8_is_refused() {
        for (query, refusal) in [
            (
                "typo=1",
                "unknown query parameter `typo`, expected one of `tipo`, `id`, `after`, `all`, `partition`",
            ),
            ("tipo=1&tipo=2", "duplicate query parameter `tipo`"),
            ("tipo=%ff", "the query \"tipo=%ff\" is not UTF-8"),
            (
                "=1",
                "unknown query parameter ``, expected one of `tipo`, `id`, `after`, `all`, `partition`",
            ),
            (
                "tipo=1&x",
                "unknown query parameter `x`, expected one of `tipo`, `id`, `after`, `all`, `partition`",
            ),
            (
                "all=yes",
                "query parameter all: \"yes\" is not true or false",
            ),
            (
                "partition=x",
                "query parameter partition: \"x\" is not the number of a partition",
            ),
        ] {
            let read = read::<Parameters>(query);
            assert_eq!(
                read.as_ref().map_err(|problem| problem.as_str()),
                Err(refusal)
            );
        }
        assert!(read::<Parameters>("&tipo=1&").is_ok());
        assert!(read::<NoParameters>("").is_ok());
        let none = read::<NoParameters>("x=1").expect_err("refused");
        assert_eq!(none, "unknown query parameter `x`, there are none here");
    }
}
