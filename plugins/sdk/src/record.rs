//! Records that a handler creates.

/// A Kafka record to emit, or to replace an Evento with.
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
    /// Key: any bytes, or `None` for null.
    pub key: Option<Vec<u8>>,
    /// Value: any bytes if the record is emitted, a valid Evento if it is a replacement, `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers as names and values, in order. Names may repeat, and a value may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Timestamp in milliseconds since 1970-01-01 UTC. `None` means the time at which the record is produced or, for
    /// a replacement, the timestamp of the record that it replaces.
    pub timestamp: Option<i64>,
}

impl Record {
    /// Creates a record with this value, without key, headers or timestamp.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self::default().value(value)
    }

    /// Creates a tombstone: a record with this key and a null value, which says that whatever the key names was
    /// deleted.
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

    /// Appends a header, even if the record already has one with this name.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Appends a header whose value is null.
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
