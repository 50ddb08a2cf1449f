//! One Evento of the batch in hand, read out of the columns when asked, so that what a handler ignores costs nothing.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;

use crate::bindings::Batch;
use crate::bindings::eventos::handler::types::Records;
use crate::columns::{flag, start_of, text};
use crate::{Pointer, Record};

/// An Evento and the Kafka record that carries it, or a tombstone: a record whose value is null.
///
/// What it lends is a view into the batch: nothing is copied, allocated or parsed.
#[derive(Clone, Copy)]
pub struct Evento<'a> {
    batch: &'a Batch,
    index: usize,
}

/// One header of a record. Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Any bytes, or null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record, in order.
#[derive(Clone)]
pub struct Headers<'a> {
    records: &'a Records,
    /// Those still to come, as indices in the columns of headers.
    range: Range<usize>,
    /// Where the first of them begins.
    start: usize,
}

impl<'a> Evento<'a> {
    pub(crate) fn new(batch: &'a Batch, index: usize) -> Self {
        Self { batch, index }
    }

    /// Its index in the batch, as the host's imports take it.
    pub(crate) fn index(&self) -> u32 {
        self.index as u32
    }

    /// Its `id`, escapes resolved; an integer in its own digits, however many. Empty in a tombstone.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.batch.ids.get(self.index)
    }

    /// Whether `id` is an integer in the JSON: `7`, not `"7"`.
    #[must_use]
    pub fn id_is_integer(&self) -> bool {
        self.flag(flag::INTEGER_ID)
    }

    /// Its `tipo`, escapes resolved. Empty in a tombstone, and in nothing else.
    #[must_use]
    pub fn tipo(&self) -> &'a str {
        self.batch.tipos.get(self.index)
    }

    /// The record's key: any bytes, or null.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.records.key(self.index)
    }

    /// The record's value, as it was sent; none in a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.records.value(self.index)
    }

    /// The value as text: the JSON of the Evento. None in a tombstone.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.value().map(text)
    }

    /// The Evento as a type of one's own, read as `serde_json` reads it. A tombstone reads as JSON's null, which an
    /// `Option` takes.
    ///
    /// ```
    /// use eventos_sdk::{Evento, Outcome};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Sismo {
    ///     mag: f64,
    /// }
    ///
    /// fn handle(evento: &Evento) -> Outcome {
    ///     match evento.json::<Sismo>() {
    ///         Ok(sismo) if sismo.mag >= 5.0 => Outcome::Pass,
    ///         Ok(_) => Outcome::Drop,
    ///         Err(error) => Outcome::reject(error.to_string()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// It has another shape than the type.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text().unwrap_or("null"))
    }

    /// What is at a place of the Evento: its JSON text, with every digit and escape. None in a tombstone, or if there
    /// is nothing at that place.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Option<&'a str> {
        pointer.find(self.text()?)
    }

    /// Whether the record has no value. It says that what its key names is gone.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.flag(flag::NULL_VALUE)
    }

    /// The record's headers, in order, duplicates and nulls kept.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.batch.records.headers(self.index)
    }

    /// The value of the last header of this name, as Kafka's own clients choose it. None if there is none, or if
    /// it is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut from_the_last = self.headers().rev();
        from_the_last.find(|header| header.name == name)?.value
    }

    /// When the record was made, or appended: milliseconds since 1970-01-01 UTC. Very old records have none.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.batch.records.timestamp(self.index)
    }

    /// Whether the timestamp was set by the broker (`LogAppendTime`) rather than by the producer.
    #[must_use]
    pub fn log_append_time(&self) -> bool {
        self.flag(flag::LOG_APPEND_TIME)
    }

    /// The topic that it came from.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        &self.batch.topic
    }

    /// The partition that it came from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.batch.partition
    }

    /// Its offset in the partition. Replacements that an earlier handler made share the offset of their source.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.batch.offsets[self.index]
    }

    /// A copy of key, value, headers and timestamp, to change and to emit or to replace this one with.
    #[must_use]
    pub fn to_record(&self) -> Record {
        self.batch.records.to_record(self.index)
    }

    fn flag(&self, bit: u8) -> bool {
        self.batch.records.flags[self.index] & bit != 0
    }
}

impl fmt::Debug for Evento<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evento")
            .field("id", &self.id())
            .field("tipo", &self.tipo())
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}

impl Records {
    pub(crate) fn headers(&self, i: usize) -> Headers<'_> {
        Headers {
            records: self,
            range: start_of(&self.header_ends, i)..self.header_ends[i] as usize,
            start: self.value_ends[i] as usize,
        }
    }
}

impl<'a> Headers<'a> {
    fn get(&self, header: usize, start: usize) -> Header<'a> {
        let name_end = self.records.header_name_ends[header] as usize;
        let value = name_end..self.records.header_value_ends[header] as usize;
        let is_null = self.records.header_nulls[header] != 0;
        Header {
            name: text(&self.records.bytes[start..name_end]),
            value: (!is_null).then(|| &self.records.bytes[value]),
        }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let first = self.range.next()?;
        let header = self.get(first, self.start);
        self.start = self.records.header_value_ends[first] as usize;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for Headers<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let last = self.range.next_back()?;
        let is_first = self.range.is_empty();
        let start = if is_first {
            self.start
        } else {
            self.records.header_value_ends[last - 1] as usize
        };
        Some(self.get(last, start))
    }
}

impl ExactSizeIterator for Headers<'_> {}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
