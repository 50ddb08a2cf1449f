//! Recognizes Eventos: JSON objects with an `id` (a non-empty string or an integer) and a `tipo` (a non-empty
//! string). All other members are kept as they are.

mod excess;
mod faults;
mod limits;
mod quick;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};

pub use self::limits::EventoLimits;

/// What the host knows about an Evento. It is parsed once, and never again by a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventoRef<'a> {
    /// Identifies the Evento.
    pub id: Id<'a>,
    /// The type of the Evento; not empty.
    pub tipo: Cow<'a, str>,
}

/// The `id` of an Evento.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// A JSON string with escapes resolved; not empty.
    Text(Cow<'a, str>),
    /// A JSON integer with its own digits, of any length.
    Integer(Cow<'a, str>),
}

/// The reason why a value is not an Evento.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvento {
    /// The value is not JSON in UTF-8; the text says what is wrong and where.
    #[error("malformed JSON: {0}")]
    Malformed(String),
    /// The value is JSON, with every fault that keeps it from being an Evento.
    #[error("not an Evento: {}", display(.0))]
    Invalid(Vec<Fault>),
    /// The name of a header of its record, with this number from 0, is not UTF-8, so no handler can be given it.
    #[error("the name of header {0}, counted from 0, is not UTF-8")]
    HeaderName(usize),
}

/// One fault in an otherwise well-formed JSON text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The faulty place: a JSON pointer (RFC 6901), empty for the whole text. If it would be longer than 500 bytes, it is that
    /// of a member that contains the place.
    pub pointer: Cow<'static, str>,
    /// A clause without its subject, such as "is missing".
    pub detail: String,
}

/// What some programs, mainly on Windows, write in front of a text in UTF-8. JSON does not have it (RFC 8259, section 8.1).
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns a text without the byte order mark in front of it.
#[must_use]
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

impl<'a> EventoRef<'a> {
    /// Parses `id` and `tipo`, and checks that the rest is JSON. A byte order mark in front of it is skipped.
    ///
    /// # Errors
    /// Returns [`NotAnEvento`] with every fault at once.
    pub fn parse(value: &'a [u8]) -> Result<Self, NotAnEvento> {
        Self::parse_within(&EventoLimits::NONE, value)
    }

    /// Like [`EventoRef::parse`], with limits.
    ///
    /// # Errors
    /// Returns [`NotAnEvento`] with every fault at once, of those that exceed the limits the first ten.
    pub fn parse_within(limits: &EventoLimits, value: &'a [u8]) -> Result<Self, NotAnEvento> {
        let text = std::str::from_utf8(without_byte_order_mark(value))
            .map_err(|error| NotAnEvento::Malformed(error.to_string()))?;
        match serde_json::from_str::<quick::Quick<'a>>(text) {
            Ok(quick::Quick(Some(evento)))
                if !limits.may_be_exceeded(text)
                    || excess::find_excesses(text, limits).is_empty() =>
            {
                Ok(evento)
            }
            _ => faults::parse(text, limits),
        }
    }
}

impl Id<'_> {
    /// Returns the text that identifies the Evento, whether it was written as a string or as an integer.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Integer(text) => text,
        }
    }
}

/// The name of a member, as far as it matters here.
enum Name {
    Id,
    Tipo,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "id" => Name::Id,
                    "tipo" => Name::Tipo,
                    _ => Name::Other,
                })
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.pointer.is_empty() {
            "it"
        } else {
            &self.pointer
        };
        write!(f, "{subject} {}", self.detail)
    }
}

fn display(faults: &[Fault]) -> String {
    let each: Vec<String> = faults.iter().map(Fault::to_string).collect();
    each.join(", ")
}
