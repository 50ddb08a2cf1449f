//! The slow path: accepts integers of any length, and reports every fault.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{EventoLimits, EventoRef, Fault, Id, Name, NotAnEvento, excess::find_excesses};

pub(super) fn parse<'t>(
    text: &'t str,
    limits: &EventoLimits,
) -> Result<EventoRef<'t>, NotAnEvento> {
    let malformed = |error: serde_json::Error| NotAnEvento::Malformed(error.to_string());
    serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
    let excesses = find_excesses(text, limits);
    let Ok(Members { ids, tipos }) = serde_json::from_str::<Members<'_>>(text) else {
        let mut faults = vec![fault("", "is not a JSON object")];
        faults.extend(excesses);
        return Err(NotAnEvento::Invalid(faults));
    };
    let mut faults = Vec::new();
    let mut take = |found: Result<Id<'static>, Fault>| {
        let fault = |fault: Fault| {
            let is_known = excesses.iter().any(|other| other.pointer == fault.pointer);
            faults.extend((!is_known).then_some(fault));
        };
        found.map_err(fault).ok()
    };
    let id = take(only("/id", &ids).and_then(read_id));
    let tipo = take(only("/tipo", &tipos).and_then(read_tipo));
    faults.extend(excesses);
    match (id, tipo) {
        (Some(id), Some(Id::Text(tipo))) if faults.is_empty() => Ok(EventoRef { id, tipo }),
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
    read_text("/id", raw, "is neither a non-empty string nor an integer")
}

fn read_tipo(raw: &str) -> Result<Id<'static>, Fault> {
    read_text("/tipo", raw, "is not a non-empty string")
}

fn read_text(
    pointer: &'static str,
    raw: &str,
    otherwise: &'static str,
) -> Result<Id<'static>, Fault> {
    match serde_json::from_str::<String>(raw) {
        Ok(text) if !text.is_empty() => Ok(Id::Text(Cow::Owned(text))),
        // It is a string of valid JSON, so this is the only thing that can be wrong with it.
        Err(_) if raw.starts_with('"') => {
            let detail = "has half of a surrogate pair, which is no character";
            Err(fault(pointer, detail))
        }
        _ => Err(fault(pointer, otherwise)),
    }
}

fn fault(pointer: &'static str, detail: impl Into<String>) -> Fault {
    Fault {
        pointer: pointer.into(),
        detail: detail.into(),
    }
}

/// The name of a member, which may have a lone surrogate and thus not be a `str`.
struct AnyName(Name);

impl<'de> Deserialize<'de> for AnyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNameVisitor;
        impl Visitor<'_> for AnyNameVisitor {
            type Value = AnyName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<AnyName, E> {
                Ok(AnyName(match name {
                    b"id" => Name::Id,
                    b"tipo" => Name::Tipo,
                    _ => Name::Other,
                }))
            }
        }
        deserializer.deserialize_bytes(AnyNameVisitor)
    }
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
                while let Some(AnyName(name)) = map.next_key()? {
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
