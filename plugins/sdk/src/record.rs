//! Records that a handler makes.

/// A record to emit, or to put in the place of another.
///
/// ```
/// use eventos_sdk::Record;
///
/// let alerta = Record::new(r#"{"id":"a1","tipo":"alerta"}"#)
///     .key("a1")
///     .header("origen", "sismos");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Any bytes, or null.
    pub key: Option<Vec<u8>>,
    /// Any bytes when it is emitted; an Evento when it replaces one. Null in a tombstone.
    pub value: Option<Vec<u8>>,
    /// Names and values, in order. Names may repeat; a value may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970-01-01 UTC. None: the time at which it is produced, or, in a replacement, the
    /// timestamp of what it replaces.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record with a value, and nothing else yet.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self::default().value(value)
    }

    /// A record without a value: what this key names is gone.
    #[must_use]
    pub fn tombstone(key: impl Into<Vec<u8>>) -> Self {
        Self::default().key(key)
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header after those that are there, also when one of this name is.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push((name.into(), None));
        self
    }

    /// Sets the timestamp, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }
}
