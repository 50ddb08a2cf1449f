//! A record as it was consumed.

use std::{
    ffi::CStr,
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
};

use rdkafka::{
    bindings as native,
    error::{IsError as _, RDKafkaErrorCode},
};

use super::queue::{ClientError, Event, text};
use crate::event::{Header, Offset, Partition, Timestamp, TopicPartition, flag};

/// A record that was just consumed, still in the memory of the client.
pub struct Consumed<'q> {
    /// Alive for as long as its event.
    message: NonNull<native::rd_kafka_message_t>,
    _event: Event,
    /// The client owns the memory.
    _client: PhantomData<&'q ()>,
}

// SAFETY: an event and its message are plain memory that librdkafka ties to no thread.
unsafe impl Send for Consumed<'_> {}

impl Consumed<'_> {
    /// Takes the record, or the error, out of the event of a fetch. There is none in an event that is used up.
    pub(super) fn take(event: Event) -> Option<Result<Self, ClientError>> {
        let record = Self {
            message: event.next_message()?,
            _event: event,
            _client: PhantomData,
        };
        let error = record.message().err;
        if !error.is_error() {
            return Some(Ok(record));
        }
        let code = RDKafkaErrorCode::from(error);
        Some(Err(ClientError {
            code,
            is_fatal: false,
            partition: Some(record.topic_partition()),
            reason: code.to_string(),
        }))
    }

    fn message(&self) -> &native::rd_kafka_message_t {
        // SAFETY: the message is alive for as long as its event, and nothing changes it.
        unsafe { self.message.as_ref() }
    }

    fn topic_partition(&self) -> TopicPartition {
        // SAFETY: a message has a topic, whose name ends with a NUL byte.
        let topic = unsafe { text(native::rd_kafka_topic_name(self.message().rkt)) };
        TopicPartition::new(topic, self.partition())
    }

    /// The partition of the record. Its topic is the one that the consumer consumes.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition(self.message().partition)
    }

    /// The offset of the record.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.message().offset)
    }

    /// The key: any bytes, or null.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: the key has `key_len` bytes, and is alive for as long as its message.
        unsafe { bytes(message.key.cast(), message.key_len) }
    }

    /// The value: any bytes, or null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: the payload has `len` bytes, and is alive for as long as its message.
        unsafe { bytes(message.payload.cast(), message.len) }
    }

    /// The headers in their order, including duplicates. A name ends at its first NUL byte: librdkafka does not say how long
    /// it is.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive, and owns its headers.
        let error =
            unsafe { native::rd_kafka_message_headers(self.message.as_ptr(), &raw mut headers) };
        let headers = NonNull::new(headers).filter(|_| !error.is_error());
        let headers = headers.into_iter();
        // SAFETY: the headers are alive for as long as `self` is borrowed.
        headers.flat_map(|headers| (0..).map_while(move |i| unsafe { header(headers, i) }))
    }

    /// The timestamp, and the flag that says whether it was set by the producer or by the broker.
    #[must_use]
    pub fn timestamp(&self) -> (Timestamp, u8) {
        use native::rd_kafka_timestamp_type_t as Kind;
        let mut kind = Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let at =
            unsafe { native::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        match kind {
            _ if at < 0 => (Timestamp::NONE, 0),
            Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => (Timestamp::NONE, 0),
            Kind::RD_KAFKA_TIMESTAMP_CREATE_TIME => (Timestamp(at), 0),
            Kind::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => (Timestamp(at), flag::LOG_APPEND_TIME),
        }
    }
}

/// Returns bytes of librdkafka, in which a null pointer means null.
///
/// # Safety
/// The pointer is null, or points to this many bytes that do not change for as long as `'a`.
unsafe fn bytes<'a>(of: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller promises it.
    NonNull::new(of.cast_mut()).map(|of| unsafe { slice::from_raw_parts(of.as_ptr(), length) })
}

/// Returns header `i`, or none if the record has fewer headers.
///
/// # Safety
/// The headers are alive and do not change for as long as `'a`.
unsafe fn header<'a>(headers: NonNull<native::rd_kafka_headers_t>, i: usize) -> Option<Header<'a>> {
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the caller promises it. librdkafka sets the pointers to memory of the headers, and appends a NUL byte to names.
    unsafe {
        let error = native::rd_kafka_header_get_all(
            headers.as_ptr(),
            i,
            &raw mut name,
            &raw mut value,
            &raw mut length,
        );
        if error.is_error() {
            return None;
        }
        Some(Header {
            name: CStr::from_ptr(name).to_bytes(),
            value: bytes(value.cast(), length),
        })
    }
}
