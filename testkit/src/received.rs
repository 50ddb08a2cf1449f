//! A record as a client reads it back, in a shape that tests compare.

use rdkafka::{
    Message, Timestamp,
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
};

/// Names and values, in order.
pub type HeaderList = Vec<(String, Option<Vec<u8>>)>;

/// All of a record but its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: HeaderList,
    /// The producer's, in milliseconds.
    pub timestamp: Option<i64>,
}

impl Received {
    /// The value as text.
    pub fn text(&self) -> &str {
        let value = self.value.as_deref().expect("no tombstone");
        str::from_utf8(value).expect("UTF-8")
    }

    /// The offset of what a dead letter is made of.
    pub fn offset_of_source(&self) -> i64 {
        let offset = self.header("__connect.errors.offset");
        offset.parse().expect("a number")
    }

    /// The text of the last header with this name.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().rfind(|(there, _)| there == name);
        let Some((_, Some(value))) = found else {
            panic!("no header {name} in {self:?}");
        };
        str::from_utf8(value).expect("UTF-8")
    }
}

impl From<OwnedMessage> for Received {
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

/// Headers to produce; a value of None is null.
pub fn headers(list: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
    let add = |all: OwnedHeaders, &(key, value): &(&str, Option<&[u8]>)| {
        all.insert(Header { key, value })
    };
    list.iter().fold(OwnedHeaders::new(), add)
}

/// The same as they are read back.
pub fn header_list(list: &[(&str, Option<&[u8]>)]) -> HeaderList {
    list.iter()
        .map(|&(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
        .collect()
}
