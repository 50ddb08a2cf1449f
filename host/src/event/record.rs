//! Kafka's numbers and names as types, so that a partition is never mistaken for an offset.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
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

/// The id of a topic: a topic that is deleted and created again gets another one.
///
/// As text, it is written as Kafka's tools write it: 22 characters of the URL-safe base64 alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicId([u8; 16]);

/// A text that is not the id of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a topic, such as H3vHrlrWQgKhIdFzkJKA4w")]
pub struct NotATopicId(String);

impl TopicId {
    /// Makes an id of its upper and its lower half. An id of zeroes stands for none: brokers without ids report it.
    #[must_use]
    pub fn new(most_significant: i64, least_significant: i64) -> Option<Self> {
        let halves = [most_significant, least_significant].map(i64::to_be_bytes);
        let mut id = [0; 16];
        id.copy_from_slice(halves.as_flattened());
        (id != [0; 16]).then_some(Self(id))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for TopicId {
    type Err = NotATopicId;

    fn from_str(text: &str) -> Result<Self, NotATopicId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let id = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        id.ok_or_else(|| NotATopicId(text.to_owned()))
    }
}

/// One header of a record. Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Kafka requires UTF-8 and no broker checks it, so these are any bytes until the record is [read](super::Batch::read).
    pub name: &'a [u8],
    /// Any bytes, or null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Returns the name as text, in which U+FFFD replaces whatever is not UTF-8.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }
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
