//! A record as it was consumed.

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers as _},
};

use crate::event::{Header, Offset, Partition, Timestamp, flag};

/// A record that was just consumed, still in the memory of the client.
pub struct Consumed<'a>(BorrowedMessage<'a>);

impl<'a> From<BorrowedMessage<'a>> for Consumed<'a> {
    fn from(message: BorrowedMessage<'a>) -> Self {
        Self(message)
    }
}

impl Consumed<'_> {
    /// The partition of the record. Its topic is the one that the consumer consumes.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition(self.0.partition())
    }

    /// The offset of the record.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.0.offset())
    }

    /// The key: any bytes, or null.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// The value: any bytes, or null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// The headers in their order, including duplicates.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        let headers = self.0.headers();
        let each = headers.into_iter().flat_map(|headers| headers.iter());
        each.map(|header| Header {
            name: header.key,
            value: header.value,
        })
    }

    /// The timestamp, and the flag that says whether it was set by the producer or by the broker.
    #[must_use]
    pub fn timestamp(&self) -> (Timestamp, u8) {
        match self.0.timestamp() {
            rdkafka::Timestamp::NotAvailable => (Timestamp::NONE, 0),
            rdkafka::Timestamp::CreateTime(at) => (Timestamp(at), 0),
            rdkafka::Timestamp::LogAppendTime(at) => (Timestamp(at), flag::LOG_APPEND_TIME),
        }
    }
}
