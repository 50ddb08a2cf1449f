//! Problems of a configuration, with their places.

use std::fmt;

use serde::Serialize;

/// One problem. Problems are sorted in the order of the file, followed by the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `config/eventos.toml:12`, the name of a variable, or `default`.
    pub place: String,
    /// The key in TOML's notation, such as `kafka.group_id`; empty if the problem concerns the file itself.
    pub key: String,
    /// What is wrong and what was expected; names the key and, unless it may be a secret, the value.
    pub message: String,
    /// Sort key: the line in the file, or the maximum for other places.
    #[serde(skip)]
    pub(super) line: usize,
}

/// Every problem of a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// Returns a problem without a line.
    #[must_use]
    pub fn new(place: impl Into<String>, key: impl Into<String>, message: String) -> Self {
        Self {
            place: place.into(),
            key: key.into(),
            message,
            line: usize::MAX,
        }
    }
}

impl PartialOrd for Problem {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Problem {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = |it: &Self| {
            (
                it.line,
                it.place.clone(),
                it.key.clone(),
                it.message.clone(),
            )
        };
        order(self).cmp(&order(other))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for Problems {
    /// Writes one line per problem; a syntax error takes more, to show its place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
