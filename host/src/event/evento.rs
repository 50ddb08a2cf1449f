//! What makes a JSON text an Evento: an object with an `id` (a non-empty string or an integer)
//! and a `tipo` (a non-empty string). Everything else in it is its own business, and is kept as it came.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What the host knows of an Evento: parsed once, never again by a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventoRef<'a> {
    /// Which one it is.
    pub id: Id<'a>,
    /// What kind it is; not empty.
    pub tipo: Cow<'a, str>,
}

/// The `id` of an Evento.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// A JSON string, escapes resolved; not empty.
    Text(Cow<'a, str>),
    /// A JSON integer, in its own digits, however many.
    Integer(Cow<'a, str>),
}

/// Why a value is not an Evento.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvento {
    /// Not JSON in UTF-8; the text says what is wrong and where.
    #[error("malformed JSON: {0}")]
    Malformed(String),
    /// JSON, with every fault that keeps it from being an Evento.
    #[error("not an Evento: {}", display(.0))]
    Invalid(Vec<Fault>),
}

/// One thing that is wrong with an otherwise well-formed JSON text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901), empty for the whole.
    pub pointer: &'static str,
    /// What: a clause without its subject, such as "is missing".
    pub detail: String,
}

impl<'a> EventoRef<'a> {
    /// Reads `id` and `tipo`, and checks that the rest is JSON.
    ///
    /// # Errors
    /// [`NotAnEvento`], with every fault at once.
    pub fn parse(value: &'a [u8]) -> Result<Self, NotAnEvento> {
        let text = std::str::from_utf8(value)
            .map_err(|error| NotAnEvento::Malformed(error.to_string()))?;
        match serde_json::from_str::<Quick<'a>>(text) {
            Ok(Quick(Some(evento))) => Ok(evento),
            _ => parse_with_faults(text),
        }
    }
}

impl Id<'_> {
    /// The text that identifies the Evento, whichever way it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Integer(text) => text,
        }
    }
}

/// The common case in one pass without allocation; `None` or an error sends the text to
/// [`parse_with_faults`], which decides.
struct Quick<'a>(Option<EventoRef<'a>>);

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

/// A member's name, as far as it matters here.
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

    // JSON has one way to write an integer that fits, so these digits are those of the text.
    fn visit_u64<E>(self, integer: u64) -> Result<Id<'de>, E> {
        Ok(Id::Integer(Cow::Owned(integer.to_string())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Id<'de>, E> {
        Ok(Id::Integer(Cow::Owned(integer.to_string())))
    }
}

/// The slow way: takes integers of any length, and names every fault.
fn parse_with_faults(text: &str) -> Result<EventoRef<'_>, NotAnEvento> {
    let malformed = |error: serde_json::Error| NotAnEvento::Malformed(error.to_string());
    serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
    let Ok(Members { ids, tipos }) = serde_json::from_str::<Members<'_>>(text) else {
        return Err(NotAnEvento::Invalid(vec![fault(
            "",
            "is not a JSON object",
        )]));
    };
    let mut faults = Vec::new();
    let mut take = |found: Result<Id<'static>, Fault>| found.map_err(|f| faults.push(f)).ok();
    let id = take(only("/id", &ids).and_then(read_id));
    let tipo = take(only("/tipo", &tipos).and_then(read_tipo));
    match (id, tipo) {
        (Some(id), Some(Id::Text(tipo))) => Ok(EventoRef { id, tipo }),
        _ => Err(NotAnEvento::Invalid(faults)),
    }
}

fn only<'a>(pointer: &'static str, found: &[&'a RawValue]) -> Result<&'a str, Fault> {
    match found {
        [] => Err(fault(pointer, "is missing")),
        [one] => Ok(one.get()),
        more => Err(fault(pointer, format!("stands {} times", more.len()))),
    }
}

fn read_id(raw: &str) -> Result<Id<'static>, Fault> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Id::Integer(Cow::Owned(raw.to_owned())));
    }
    read_text(raw).ok_or_else(|| fault("/id", "is neither a non-empty string nor an integer"))
}

fn read_tipo(raw: &str) -> Result<Id<'static>, Fault> {
    read_text(raw).ok_or_else(|| fault("/tipo", "is not a non-empty string"))
}

fn read_text(raw: &str) -> Option<Id<'static>> {
    let text: String = serde_json::from_str(raw).ok()?;
    (!text.is_empty()).then_some(Id::Text(Cow::Owned(text)))
}

fn fault(pointer: &'static str, detail: impl Into<String>) -> Fault {
    let detail = detail.into();
    Fault { pointer, detail }
}

/// Every `id` and `tipo` member of an object, as written.
struct Members<'a> {
    ids: Vec<&'a RawValue>,
    tipos: Vec<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut ids, mut tipos) = (Vec::new(), Vec::new());
                while let Some(name) = map.next_key::<Name>()? {
                    let value = map.next_value::<&'de RawValue>()?;
                    match name {
                        Name::Id => ids.push(value),
                        Name::Tipo => tipos.push(value),
                        Name::Other => {}
                    }
                }
                Ok(Members { ids, tipos })
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.pointer.is_empty() {
            "it"
        } else {
            self.pointer
        };
        write!(f, "{subject} {}", self.detail)
    }
}

fn display(faults: &[Fault]) -> String {
    let each: Vec<String> = faults.iter().map(Fault::to_string).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EventoRef<'_>, NotAnEvento> {
        EventoRef::parse(text.as_bytes())
    }

    fn faults(text: &str) -> Vec<String> {
        match parse(text) {
            Err(NotAnEvento::Invalid(faults)) => faults.iter().map(Fault::to_string).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_id_is_a_string_or_an_integer_of_any_length() {
        for (text, id) in [
            (r#"{"id":"a","tipo":"t"}"#, Id::Text("a".into())),
            (r#"{"tipo":"t","id":"\u0061\n"}"#, Id::Text("a\n".into())),
            (r#"{"id":0,"tipo":"t"}"#, Id::Integer("0".into())),
            (r#"{"id":-7,"tipo":"t"}"#, Id::Integer("-7".into())),
            (
                r#"{"id":9223372036854775808,"tipo":"t"}"#,
                Id::Integer("9223372036854775808".into()),
            ),
            (
                r#"{"id":123456789012345678901234567890,"tipo":"t"}"#,
                Id::Integer("123456789012345678901234567890".into()),
            ),
        ] {
            let evento = parse(text).expect(text);
            assert_eq!(evento.id, id, "{text}");
            assert_eq!(evento.tipo, "t", "{text}");
        }
    }

    #[test]
    fn the_rest_is_not_looked_into() {
        let text = r#" {"a":1e400,"id":1,"b":[{"id":{}}],"tipo":"\u00e9","c":1.10} "#;
        assert_eq!(parse(text).expect("valid").tipo, "é");
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(faults("{}"), ["/id is missing", "/tipo is missing"]);
        assert_eq!(faults("[1]"), ["it is not a JSON object"]);
        assert_eq!(
            faults(r#"{"id":1.0,"tipo":""}"#),
            [
                "/id is neither a non-empty string nor an integer",
                "/tipo is not a non-empty string"
            ]
        );
        assert_eq!(
            faults(r#"{"id":"","tipo":null}"#),
            [
                "/id is neither a non-empty string nor an integer",
                "/tipo is not a non-empty string"
            ]
        );
        assert_eq!(
            faults(r#"{"id":1,"id":2,"tipo":"t"}"#),
            ["/id stands 2 times"]
        );
        assert_eq!(
            faults(r#"{"id":1,"tipo":5}"#),
            ["/tipo is not a non-empty string"]
        );
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for bytes in [
            &b"{"[..],
            b"",
            b"{\"id\":1,\"tipo\":\"t\"} x",
            b"{\"id\":\"\xff\"}",
        ] {
            let parsed = EventoRef::parse(bytes);
            assert!(
                matches!(parsed, Err(NotAnEvento::Malformed(_))),
                "{parsed:?}"
            );
        }
    }
}
