//! JSON pointers: finding one value in the JSON of an Evento without parsing the rest into values.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserialize,
    de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON pointer (RFC 6901), such as `/geometry/coordinates/2`.
///
/// A `/` precedes each member name or array index. Within a name, `~1` means `/` and `~0` means `~`. The empty
/// pointer names the whole document.
///
/// ```
/// use eventos_sdk::Pointer;
///
/// assert!("/mag".parse::<Pointer>().is_ok());
/// assert!("mag".parse::<Pointer>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = text.split('/');
        if names.next() != Some("") {
            return Err(format!(
                "{text:?} is not a JSON pointer: it must begin with a slash, as in \"/mag\""
            ));
        }
        let name = |name: &str| name.replace("~1", "/").replace("~0", "~");
        Ok(Self(names.map(name).collect()))
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PointerVisitor;

        // Parsing inside the visitor, not after deserializing a string, lets the error name the setting.
        impl Visitor<'_> for PointerVisitor {
            type Value = Pointer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON pointer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pointer, E> {
                text.parse().map_err(E::custom)
            }
        }

        from.deserialize_str(PointerVisitor)
    }
}

impl Pointer {
    /// Returns the text of the value at this place of a document, byte for byte.
    pub(crate) fn find<'a>(&self, document: &'a str) -> Option<&'a str> {
        self.0
            .iter()
            .try_fold(document, |json, name| child(json, name))
    }
}

/// Returns the member of an object (the last one if the name repeats) or the element of an array.
fn child<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut json = serde_json::Deserializer::from_str(json);
    // Any other value has no children. Numbers such as 1e400 cannot even be deserialized, so errors mean "none" too.
    let found = json.deserialize_any(ChildVisitor(name));
    found.ok().flatten().map(RawValue::get)
}

struct ChildVisitor<'n>(&'n str);

impl<'a> Visitor<'a> for ChildVisitor<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Name<'a>>()? {
            if name.0 == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let index = index(self.0);
        let (mut at, mut found) = (0, None);
        while let Some(element) = seq.next_element()? {
            if Some(at) == index {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// Parses an array index as RFC 6901 defines it: digits without leading zeros.
fn index(name: &str) -> Option<usize> {
    let is_canonical = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| is_canonical)
}

/// A member name, borrowed unless it contains escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(document: &'a str, pointer: &str) -> Option<&'a str> {
        pointer
            .parse::<Pointer>()
            .expect("a pointer")
            .find(document)
    }

    #[test]
    fn what_a_pointer_names_comes_to_the_letter() {
        let document = r#"{"a": {"b" : [1.10, -0, {"c":1e400}]}, "":7, "x/y":"\u00e1", "m~n":null, "k":1, "k" : 2}"#;
        for (pointer, found) in [
            ("", document),
            ("/a/b", r#"[1.10, -0, {"c":1e400}]"#),
            ("/a/b/0", "1.10"),
            ("/a/b/1", "-0"),
            ("/a/b/2/c", "1e400"),
            ("/", "7"),
            ("/x~1y", r#""\u00e1""#),
            ("/m~0n", "null"),
            ("/k", "2"),
        ] {
            assert_eq!(at(document, pointer), Some(found), "{pointer}");
        }
    }

    #[test]
    fn a_name_is_compared_with_its_escapes_resolved() {
        assert_eq!(at(r#"{"\u0061\"":1}"#, "/a\""), Some("1"));
    }

    #[test]
    fn what_is_not_there_is_none() {
        let document = r#"{"a":[1,2],"b":1e400,"c":"text"}"#;
        for pointer in [
            "/d", "/a/2", "/a/01", "/a/+1", "/a/-", "/a/x", "/b/x", "/c/0", "/a/0/0",
        ] {
            assert_eq!(at(document, pointer), None, "{pointer}");
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        let error = "mag".parse::<Pointer>().expect_err("no pointer");
        assert_eq!(
            error,
            r#""mag" is not a JSON pointer: it must begin with a slash, as in "/mag""#
        );
    }
}
