//! What is wrong with a configuration, and where.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong. Sorts in the order of the file, then of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `config/eventos.toml:12`, the name of a variable, or `default`.
    pub place: String,
    /// The key as TOML writes it, such as `kafka.group_id`; empty if the problem is the file itself.
    pub key: String,
    /// What is wrong and what would be right; names the key and, unless it may be a secret, the value.
    pub message: String,
    /// Sorts problems: those of the file by line, then the others.
    #[serde(skip)]
    pub(super) line: usize,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem without a line.
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
    /// One line each; a syntax error takes more, to show the place.
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
