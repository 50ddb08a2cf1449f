//! An Evento of the current batch. Each method reads the columns on demand, so unused fields cost nothing.

use std::{fmt, ops::Range};

use serde::Deserialize;

use crate::{
    Pointer, Record,
    bindings::{Batch, eventos::handler::types::Records},
    columns::{flag, start_of, text},
    seed,
};

/// An Evento and the Kafka record that carries it, or a tombstone: a record whose value is null.
///
/// All methods return views into the batch: they do not copy, allocate or parse, except where their documentation
/// says so.
#[derive(Clone, Copy)]
pub struct Evento<'a> {
    batch: &'a Batch,
    index: usize,
}

/// One header of a record. Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name of the header.
    pub name: &'a str,
    /// Value of the header: any bytes, or `None` for null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record, in order.
#[derive(Clone)]
pub struct Headers<'a> {
    records: &'a Records,
    /// Remaining headers, as indices into the header columns.
    range: Range<usize>,
    /// Index in `bytes` at which the first remaining header begins.
    start: usize,
}

impl<'a> Evento<'a> {
    pub(crate) fn new(batch: &'a Batch, index: usize) -> Self {
        Self { batch, index }
    }

    /// Returns the index of the record in its batch, in the type that the host's imports take.
    pub(crate) fn index(&self) -> u32 {
        self.index as u32
    }

    /// Returns the `id` with escapes resolved. An integer id keeps all its digits. Empty for a tombstone.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.batch.ids.get(self.index)
    }

    /// Returns whether the `id` is a JSON integer: `7`, not `"7"`.
    #[must_use]
    pub fn id_is_integer(&self) -> bool {
        self.flag(flag::INTEGER_ID)
    }

    /// Returns the `tipo` with escapes resolved. Empty for a tombstone, and never otherwise.
    #[must_use]
    pub fn tipo(&self) -> &'a str {
        self.batch.tipos.get(self.index)
    }

    /// Returns the key of the record: any bytes, or `None` for null.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.records.key(self.index)
    }

    /// Returns the value of the record exactly as it was sent, or `None` for a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.records.value(self.index)
    }

    /// Returns the value as text, which is the JSON of the Evento, or `None` for a tombstone.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.value().map(text)
    }

    /// Deserializes the Evento into a type of your own with `serde_json`. A tombstone deserializes like JSON `null`,
    /// so use an `Option` if you expect tombstones.
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
    /// Returns an error if the JSON does not match the type.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text().unwrap_or("null"))
    }

    /// Returns the JSON text at `pointer`, with all its digits and escapes. Returns `None` for a tombstone, or if the
    /// Evento has nothing there. Each call scans the JSON of the Evento.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Option<&'a str> {
        pointer.get(self.text()?)
    }

    /// Returns the JSON of the Evento with the value at `pointer` replaced with `json`, or added, and all other bytes as
    /// they are: see [`Pointer::set`].
    ///
    /// ```
    /// use eventos_sdk::{Evento, Outcome, Pointer};
    ///
    /// fn review(evento: &Evento, status: &Pointer) -> Outcome {
    ///     match evento.set_at(status, r#""reviewed""#) {
    ///         Ok(value) => Outcome::replace([evento.to_record().value(value)]),
    ///         Err(error) => Outcome::reject(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the error of [`Pointer::set`], or one for a tombstone.
    pub fn set_at(&self, pointer: &Pointer, json: &str) -> Result<String, String> {
        let text = self.text().ok_or("a tombstone has no JSON")?;
        pointer.set(text, json)
    }

    /// Returns whether the value is null, which means that whatever the key names was deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.flag(flag::NULL_VALUE)
    }

    /// Returns the headers of the record in order, including duplicates and null values.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.batch.records.headers(self.index)
    }

    /// Returns the value of the last header with this name, the one that Kafka's own clients pick. Returns `None` if
    /// no header has this name or the value is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut from_the_last = self.headers().rev();
        from_the_last.find(|header| header.name == name)?.value
    }

    /// Returns the timestamp of the record in milliseconds since 1970-01-01 UTC. Records in the message format before
    /// Kafka 0.10 have none.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.batch.records.timestamp(self.index)
    }

    /// Returns whether the broker set the timestamp (`LogAppendTime`), rather than the producer (`CreateTime`).
    #[must_use]
    pub fn log_append_time(&self) -> bool {
        self.flag(flag::LOG_APPEND_TIME)
    }

    /// Returns the topic that the record was consumed from.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        &self.batch.topic
    }

    /// Returns the partition that the record was consumed from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.batch.partition
    }

    /// Returns the offset in the partition. Replacements made by an earlier handler share the offset of the record
    /// that they replace.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.batch.offsets[self.index]
    }

    /// Returns a number to seed a random number generator with. It follows from topic, partition and offset and from the
    /// name of the handler: it differs from record to record and from handler to handler, and a replay gives the same
    /// again. Whoever knows the record can compute it.
    ///
    /// ```
    /// use eventos_sdk::{Evento, Outcome};
    ///
    /// /// Passes one Evento in ten.
    /// fn sample(evento: &Evento) -> Outcome {
    ///     if evento.seed() % 10 == 0 { Outcome::Pass } else { Outcome::Drop }
    /// }
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        let offset = self.offset();
        // Replacements that an earlier handler made share an offset.
        let sharing = self.batch.offsets[..self.index].iter().rev();
        let sharing = sharing.take_while(|&&before| before == offset).count();
        let numbers = [i64::from(self.partition()), offset, sharing as i64];
        seed::of(self.topic(), numbers)
    }

    /// Returns an owned copy of key, value, headers and timestamp, to modify and then emit or use as a replacement.
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
