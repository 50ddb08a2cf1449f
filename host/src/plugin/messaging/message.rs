//! The messages that a guest holds, and their cost in memory of the host.

use wasmtime::{
    Result,
    component::{Resource, ResourceTable},
};

use crate::event::{Batch, Header, Records, Timestamp};

/// Attributes of a Kafka record that a message carries as metadata. They do not become headers of messages that are
/// sent.
const FACTS: [&str; 4] = [
    "kafka.key",
    "kafka.partition",
    "kafka.offset",
    "kafka.timestamp",
];

/// The header that holds the content type of a record, as in CloudEvents.
const CONTENT_TYPE: &str = "content-type";

/// Upper bound of what a handle costs in the tables of the host and of the engine, without the object behind it.
const HANDLE: usize = 64;

/// A message of `wasi:messaging`.
#[derive(Default)]
pub struct Message {
    pub topic: Option<String>,
    pub content_type: Option<String>,
    pub data: Vec<u8>,
    pub metadata: Vec<(String, String)>,
}

/// The host resources that one guest holds: messages, clients, options.
#[derive(Default)]
pub struct GuestResources {
    table: ResourceTable,
    /// Bytes of everything in the table.
    bytes: usize,
}

impl Message {
    /// Returns record `i` as a message, or `None` if it is a tombstone.
    pub fn from_record(batch: &Batch, i: usize) -> Option<Self> {
        let record = batch.record(i);
        let data = record.value?.to_vec();
        let mut metadata = Vec::new();
        let key = record.key.and_then(|key| str::from_utf8(key).ok());
        let [key_name, partition, offset, timestamp] = FACTS;
        metadata.extend(key.map(|key| (key_name.to_owned(), key.to_owned())));
        metadata.push((partition.to_owned(), batch.partition().to_string()));
        metadata.push((offset.to_owned(), batch.offset(i).0.to_string()));
        if record.timestamp != Timestamp::NONE {
            metadata.push((timestamp.to_owned(), record.timestamp.0.to_string()));
        }
        for header in record.headers {
            let value = header.value.and_then(|value| str::from_utf8(value).ok());
            metadata.extend(value.map(|value| (header.name().into_owned(), value.to_owned())));
        }
        Some(Self {
            topic: Some(batch.topic().to_string()),
            content_type: Some("application/json".to_owned()),
            data,
            metadata,
        })
    }

    /// Converts the message into the record to send on behalf of a record with this key.
    pub fn into_records(self, key: Option<&[u8]>) -> Records {
        let is_fact = |name: &str| FACTS.contains(&name) || name == CONTENT_TYPE;
        let metadata = self.metadata.iter();
        let metadata = metadata.filter(|(name, _)| !is_fact(name));
        let content_type = self.content_type.iter().map(|it| (CONTENT_TYPE, it));
        let headers = content_type.chain(metadata.map(|(name, value)| (&name[..], value)));
        let headers = headers.map(|(name, value)| Header {
            name: name.as_bytes(),
            value: Some(value.as_bytes()),
        });
        let mut records = Records::default();
        records.push(key, Some(&self.data), headers, Timestamp::NONE, 0);
        records
    }

    fn footprint(&self) -> usize {
        let texts = [self.topic.as_ref(), self.content_type.as_ref()];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        let pair = |(name, value): &(String, String)| {
            size_of::<(String, String)>() + name.len() + value.len()
        };
        let metadata = self.metadata.iter().map(pair).sum::<usize>();
        size_of::<Self>() + texts + self.data.len() + metadata
    }
}

impl GuestResources {
    /// Returns the number of bytes that everything in the table costs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an object that costs no more than its handle.
    pub fn push<T: Send + 'static>(&mut self, it: T) -> Result<Resource<T>> {
        self.bytes += HANDLE;
        Ok(self.table.push(it)?)
    }

    pub fn delete<T: Send + 'static>(&mut self, it: Resource<T>) -> Result<()> {
        self.table.delete(it)?;
        self.bytes -= HANDLE;
        Ok(())
    }

    pub fn push_message(&mut self, message: Message) -> Result<Resource<Message>> {
        self.bytes += message.footprint();
        self.push(message)
    }

    pub fn message(&self, message: &Resource<Message>) -> Result<&Message> {
        Ok(self.table.get(message)?)
    }

    pub fn change(
        &mut self,
        message: &Resource<Message>,
        change: impl FnOnce(&mut Message),
    ) -> Result<()> {
        let message = self.table.get_mut(message)?;
        self.bytes -= message.footprint();
        change(message);
        self.bytes += message.footprint();
        Ok(())
    }

    pub fn take_message(&mut self, message: Resource<Message>) -> Result<Message> {
        let message = self.table.delete(message)?;
        self.bytes -= message.footprint() + HANDLE;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Offset, Partition, TopicPartition};

    fn batch() -> Batch {
        let mut raw = Batch::new(TopicPartition::new("eventos", Partition(3)));
        let value = br#"{"id":"a","tipo":"x"}"#;
        let header = |name: &'static str, value| Header {
            name: name.as_bytes(),
            value,
        };
        let headers = [
            header("a", Some(&b"1"[..])),
            header("null", None),
            header("binary", Some(b"\xfe")),
            header("a", Some(b"2")),
        ];
        raw.push(
            Offset(10),
            Some(b"k"),
            Some(value),
            headers,
            (Timestamp(7), 0),
        );
        raw.push(
            Offset(11),
            Some(b"\xff"),
            Some(value),
            [],
            (Timestamp::NONE, 0),
        );
        raw.push(Offset(12), Some(b"k"), None, [], (Timestamp(8), 0));
        assert!(raw.read().offsets.is_empty());
        raw
    }

    #[test]
    fn a_record_becomes_a_message_with_all_that_is_text() {
        let pairs = |message: &Message| {
            let pair = |(name, value): &(String, String)| format!("{name}={value}");
            message
                .metadata
                .iter()
                .map(pair)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let message = Message::from_record(&batch(), 0).expect("no tombstone");
        assert_eq!(message.topic.as_deref(), Some("eventos"));
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        assert_eq!(message.data, br#"{"id":"a","tipo":"x"}"#);
        let all = "kafka.key=k kafka.partition=3 kafka.offset=10 kafka.timestamp=7 a=1 a=2";
        assert_eq!(pairs(&message), all);
        let bare = Message::from_record(&batch(), 1).expect("no tombstone");
        assert_eq!(pairs(&bare), "kafka.partition=3 kafka.offset=11");
        assert!(Message::from_record(&batch(), 2).is_none());
    }

    #[test]
    fn a_message_that_is_sent_on_has_the_headers_that_it_came_with() {
        let message = Message::from_record(&batch(), 0).expect("no tombstone");
        let records = message.into_records(Some(b"\xff"));
        assert_eq!(records.check(), Ok(()));
        let record = records.get(0);
        assert_eq!(record.key, Some(&b"\xff"[..]));
        let headers: Vec<_> = record
            .headers
            .map(|header| (header.name(), header.value))
            .collect();
        let expected = [
            ("content-type", &b"application/json"[..]),
            ("a", b"1"),
            ("a", b"2"),
        ];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name.into(), Some(value)))
        );
    }

    #[test]
    fn what_is_held_is_counted_until_it_is_let_go() {
        let mut held = GuestResources::default();
        let client = held.push(()).expect("room");
        let message = held.push_message(Message::default()).expect("room");
        let empty = held.bytes();
        assert!(empty > 2 * HANDLE);
        held.change(&message, |message| message.data = vec![0; 1_000])
            .expect("there");
        held.change(&message, |message| {
            message.metadata.push(("ab".to_owned(), "c".to_owned()));
        })
        .expect("there");
        let pair = size_of::<(String, String)>() + 3;
        assert_eq!(held.bytes(), empty + 1_000 + pair);
        held.take_message(message).expect("there");
        held.delete(client).expect("there");
        assert_eq!(held.bytes(), 0);
    }
}
