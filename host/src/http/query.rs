//! Query parameters: each is known, and given once.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::problem::{INVALID_QUERY, Problem};
use crate::event::Timestamp;

/// What stays readable in a link: the unreserved characters of RFC 3986, and those of cursors.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b',');

/// The parameters of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them as HTML forms write them (`+` is a space); refuses what is not among `known`, is given
    /// twice, or is not UTF-8.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        let pairs = query.unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&name.as_str()) {
                return Err(refused(format!("{name} is not known; {}", list(known))));
            }
            if parameters.get(&name).is_some() {
                return Err(refused(format!("{name} is given twice")));
            }
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter as what it stands for; none if it was not given.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let given = self.get(name);
        let parse = |given: &str| {
            given
                .parse()
                .map_err(|_| refused(format!("{name} is {given:?}, not {what}")))
        };
        given.map(parse).transpose()
    }

    /// A moment, as RFC 3339 or as milliseconds since 1970; none if it was not given.
    pub(super) fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let given = self.get(name);
        given
            .map(|given| Timestamp::read(given).ok_or_else(|| refused(format!("{name} is {given:?}, not a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970"))))
            .transpose()
    }

    /// A switch: `true`, `false`, or off where it was not given.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.parsed(name, "true or false")?.unwrap_or_default())
    }

    /// Sets one anew.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(there, _)| there != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// The same query with one parameter set anew, to be put after a `?`.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let mut query = self.clone();
        query.set(name, value);
        query.to_string()
    }
}

/// As it is put after a `?`.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "&" };
            write!(f, "{separator}{}={}", encode(name), encode(value))?;
        }
        Ok(())
    }
}

/// The query parameter and what is wrong with it.
pub(super) fn refused(what: String) -> Problem {
    Problem::new(INVALID_QUERY, format!("query parameter {what}"))
}

fn list(known: &[&str]) -> String {
    match known {
        [] => "there are none here".to_owned(),
        known => format!("known here: {}", known.join(", ")),
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| refused(format!("{text} is not UTF-8")))?;
    Ok(decoded.into_owned())
}

fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_back_from_a_link() {
        let known = ["tipo", "id", "after"];
        let query = "tipo=a%26b+c&id=%C3%A9%2F&after=0:1";
        let parameters = Parameters::parse(Some(query), &known).expect("valid");
        assert_eq!(parameters.get("tipo"), Some("a&b c"));
        assert_eq!(parameters.get("id"), Some("é/"));
        let link = parameters.with("after", "0:2,1:7.1");
        assert_eq!(link, "tipo=a%26b%20c&id=%C3%A9%2F&after=0:2,1:7.1");
        let again = Parameters::parse(Some(&link), &known).expect("valid");
        assert_eq!(again.get("tipo"), parameters.get("tipo"));
    }

    #[test]
    fn what_is_unknown_twice_or_not_utf8_is_refused() {
        for query in ["typo=1", "tipo=1&tipo=2", "tipo=%ff", "=1", "tipo=1&x"] {
            assert!(
                Parameters::parse(Some(query), &["tipo"]).is_err(),
                "{query}"
            );
        }
        assert!(Parameters::parse(Some("&tipo=1&"), &["tipo"]).is_ok());
        assert!(Parameters::parse(None, &[]).is_ok());
    }
}
