//! Kafka's numbers and names as types, so that a partition is never mistaken for an offset.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a partition within its topic, from 0 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Partition(pub i32);

/// A position in a partition: the number of a record in it, from 0 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Offset(pub i64);

impl Offset {
    /// Returns the position after this one. A committed offset is the next one to read.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Milliseconds since 1970-01-01 UTC, or -1 if a record has no timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Kafka's `NO_TIMESTAMP`.
    pub const NONE: Self = Self(-1);

    /// Parses RFC 3339, or milliseconds since 1970.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let since_1970 = text.parse::<i64>().ok().map(Self);
        since_1970.or_else(|| Self::read_rfc3339(text))
    }

    /// Parses RFC 3339.
    #[must_use]
    pub fn read_rfc3339(text: &str) -> Option<Self> {
        let at = text.parse::<jiff::Timestamp>().ok()?;
        Some(Self(at.as_millisecond()))
    }

    /// Returns the current time, in whole milliseconds.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }
}

/// One header of a record. Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8, as Kafka requires.
    pub name: &'a str,
    /// Any bytes, or null.
    pub value: Option<&'a [u8]>,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
