//! Headers to produce, with names of any bytes.

use std::ptr;

use rdkafka::{bindings as native, error::IsError as _, message::OwnedHeaders};

use crate::event::Header;

/// Headers to produce. Nothing is allocated before the first one is added: most records have none.
#[derive(Default)]
pub(in crate::kafka) struct HeaderList(Option<OwnedHeaders>);

impl HeaderList {
    /// Appends a header. rdkafka's own method takes names in UTF-8 only, and a dead letter has to keep those of its record.
    pub(in crate::kafka) fn push(&mut self, Header { name, value }: Header<'_>) {
        let headers = self.0.get_or_insert_default();
        let value_at = value.map_or(ptr::null(), |value| value.as_ptr());
        let length = |bytes: &[u8]| isize::try_from(bytes.len()).expect("a slice is no longer");
        // SAFETY: `as_borrowed` casts the pointer to the headers, which are alive, and which nothing else refers to.
        // librdkafka copies the name and the value.
        let error = unsafe {
            let headers = ptr::from_ref(headers.as_borrowed());
            native::rd_kafka_header_add(
                headers.cast_mut().cast(),
                name.as_ptr().cast(),
                length(name),
                value_at.cast(),
                length(value.unwrap_or_default()),
            )
        };
        // librdkafka refuses headers only of a message that is being delivered.
        assert!(!error.is_error(), "headers that are not produced yet");
    }

    /// The headers, if there are any.
    pub(in crate::kafka) fn into_inner(self) -> Option<OwnedHeaders> {
        self.0
    }
}
