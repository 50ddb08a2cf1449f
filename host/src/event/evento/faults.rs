//! The slow path: accepts integers of any length, and reports every fault.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{EventoRef, Fault, Id, Name, NotAnEvento};

pub(super) fn parse(text: &str) -> Result<EventoRef<'_>, NotAnEvento> {
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
