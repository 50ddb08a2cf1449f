//! A record as a consumer reads it, in a form that tests can compare.

use rdkafka::{
    Message, Timestamp,
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
};

/// Names and values of headers, in order.
pub(crate) type HeaderList = Vec<(String, Option<Vec<u8>>)>;

/// A record that was read back, without its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// Partition that it was read from.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Value; a tombstone has none.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: HeaderList,
    /// Timestamp that the producer gave it, in milliseconds.
    pub timestamp: Option<i64>,
}

impl ReceivedRecord {
    /// Returns the value as text.
    #[must_use]
    pub fn text(&self) -> &str {
        let value = self.value.as_deref().expect("a value");
        str::from_utf8(value).expect("UTF-8")
    }

    /// Returns the offset of the record that this dead letter was made from.
    #[must_use]
    pub fn offset_of_source(&self) -> i64 {
        let offset = self.header("__connect.errors.offset");
        offset.parse().expect("a number")
    }

    /// Returns the text of the last header with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().rfind(|(there, _)| there == name);
        let Some((_, Some(value))) = found else {
            panic!("no header {name} in {self:?}");
        };
        str::from_utf8(value).expect("UTF-8")
    }
}

impl From<OwnedMessage> for ReceivedRecord {
    fn from(message: OwnedMessage) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
            timestamp: match message.timestamp() {
                Timestamp::CreateTime(at) => Some(at),
                _ => None,
            },
        }
    }
}

/// Makes headers to produce; a value of `None` is null.
#[must_use]
pub fn headers(list: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
    let add = |all: OwnedHeaders, &(key, value): &(&str, Option<&[u8]>)| {
        all.insert(Header { key, value })
    };
    list.iter().fold(OwnedHeaders::new(), add)
}

/// Makes the headers that [`ReceivedRecord::headers`] has when these were produced.
#[must_use]
pub fn header_list(list: &[(&str, Option<&[u8]>)]) -> HeaderList {
    list.iter()
        .map(|&(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
        .collect()
}
