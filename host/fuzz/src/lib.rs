//! The parsers of the daemon, compiled by themselves from its own sources, and the entry points of their fuzz targets.

#[path = "../../src/event/mod.rs"]
pub mod event;

#[path = "../../src/store/cursor.rs"]
mod cursor;

pub mod store {
    //! The cursors of the store.

    pub use crate::cursor::{Cursor, NotACursor, Position};
}

mod http;

use event::{
    Batch, CommitMetadata, EventoLimits, EventoRef, NotAnEvento, Offset, Outcomes, Partition, Partitions,
    Records, Texts, Timestamp, TopicId, TopicPartition, ViewStart,
    without_byte_order_mark,
};

/// Reads any bytes as an Evento. What is accepted is an object of JSON, also for a reader of another make.
///
/// # Panics
/// Panics if that is not so, or if a refusal depends on what surrounds the value.
pub fn evento(value: &[u8]) {
    let limits = EventoLimits::default();
    let parsed = EventoRef::parse_within(&limits, value);
    match &parsed {
        Ok(evento) => {
            let json = without_byte_order_mark(value);
            let other: serde_json::Value = match serde_json::from_slice(json) {
                Ok(other) => other,
                // A number that no f64 holds, or an object with one level more than this parser takes.
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("number out of range") || text.contains("recursion limit"));
                    return;
                }
            };
            assert!(other.is_object());
            assert!(!evento.id.as_str().is_empty() && !evento.tipo.is_empty());
            assert_eq!(other["tipo"].as_str(), Some(&*evento.tipo));
            match &other["id"] {
                serde_json::Value::String(id) => assert_eq!(id, evento.id.as_str()),
                id => assert!(id.is_number(), "{id}"),
            }
        }
        Err(NotAnEvento::Invalid(faults)) => assert!(!faults.is_empty()),
        Err(_) => {}
    }
    let mut batch = Batch::new(TopicPartition::new("t", Partition(0)));
    batch.push(Offset(0), None, Some(value), [], (Timestamp::NONE, 0));
    assert_eq!(batch.read().offsets.is_empty(), parsed.is_ok());
}

/// Checks what a handler may have answered: columns of any bytes and numbers. What is accepted can be read.
///
/// # Panics
/// Panics if it cannot.
pub fn outcomes(bytes: &[u8]) {
    let mut input = Input(bytes);
    let n = usize::from(input.byte());
    let outcomes = Outcomes {
        kinds: input.bytes(),
        reasons: Texts {
            bytes: input.bytes(),
            ends: input.numbers(),
        },
        replacement_ends: input.numbers(),
        replacements: Records {
            bytes: input.bytes(),
            key_ends: input.numbers(),
            value_ends: input.numbers(),
            flags: input.bytes(),
            timestamps: input.numbers().into_iter().map(i64::from).collect(),
            header_ends: input.numbers(),
            header_name_ends: input.numbers(),
            header_value_ends: input.numbers(),
            header_nulls: input.bytes(),
        },
    };
    if outcomes.check(n).is_err() {
        return;
    }
    assert_eq!(outcomes.verdicts().count(), n);
    for verdict in outcomes.verdicts() {
        if let event::Verdict::Replace(records) = verdict {
            for record in records {
                record.headers.for_each(drop);
            }
        }
    }
    assert_eq!(outcomes.all_pass(), outcomes.iter().all(|it| it == event::Outcome::Pass));
}

/// Reads any text as a cursor, as partitions, as a time, and as what may be committed with an offset. What is written again
/// is the same.
///
/// # Panics
/// Panics if it is not.
pub fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(cursor) = text.parse::<store::Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(partitions) = text.parse::<Partitions>() {
        assert_eq!(partitions.to_string().parse(), Ok(partitions));
    }
    if let Ok(start) = text.parse::<ViewStart>() {
        assert_eq!(start.to_string().parse(), Ok(start));
    }
    if let Ok(id) = text.parse::<TopicId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    let _ = Timestamp::read(text);
    let metadata = CommitMetadata::read(text);
    assert_eq!(CommitMetadata::read(&metadata.to_string()), metadata);
}

/// Reads any text as the query string of a request.
///
/// # Panics
/// Panics if a link to the next page says something else.
pub fn query(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        http::parse(text);
    }
}

/// Bytes that are divided into columns: each begins with its length.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    /// Small numbers, and now and then the greatest.
    fn numbers(&mut self) -> Vec<u32> {
        let number = |byte| if byte == u8::MAX { u32::MAX } else { u32::from(byte) };
        self.bytes().into_iter().map(number).collect()
    }
}
