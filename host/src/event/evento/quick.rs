//! The fast path: parses a valid Evento in one pass, borrowing its texts.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{EventoRef, Id, Name};

/// `None` or an error makes the caller parse the text with `faults`, which decides.
pub(super) struct Quick<'a>(pub Option<EventoRef<'a>>);

impl<'de> Deserialize<'de> for Quick<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(QuickVisitor)
    }
}

struct QuickVisitor;

impl<'de> Visitor<'de> for QuickVisitor {
    type Value = Quick<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Evento")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Quick<'de>, A::Error> {
        let (mut id, mut tipo) = (None, None);
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Id if id.is_none() => id = Some(map.next_value::<Id<'de>>()?),
                Name::Tipo if tipo.is_none() => tipo = Some(map.next_value::<Text<'de>>()?.0),
                Name::Id | Name::Tipo => return Err(A::Error::custom("repeated")),
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (Some(id), Some(tipo)) = (id, tipo) else {
            return Ok(Quick(None));
        };
        let evento = EventoRef { id, tipo };
        let whole = !evento.id.as_str().is_empty() && !evento.tipo.is_empty();
        Ok(Quick(whole.then_some(evento)))
    }
}

/// A string, borrowed unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(IdVisitor)? {
            Id::Text(text) => Ok(Self(text)),
            Id::Integer(_) => Err(D::Error::custom("not a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Id<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = Id<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an integer")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Id<'de>, E> {
        Ok(Id::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Id<'de>, E> {
        Ok(Id::Text(Cow::Owned(text.to_owned())))
    }

    // JSON has only one way to write an integer that fits, so these are the digits of the text.
    fn visit_u64<E>(self, integer: u64) -> Result<Id<'de>, E> {
        Ok(Id::Integer(Cow::Owned(integer.to_string())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Id<'de>, E> {
        Ok(Id::Integer(Cow::Owned(integer.to_string())))
    }
}
