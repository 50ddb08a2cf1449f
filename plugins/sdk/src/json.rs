//! JSON pointers: reading and setting one value in the JSON of an Evento without parsing the rest into values.

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
    /// Returns the text of the value at this place of a JSON document, byte for byte. Returns `None` if there is none.
    #[must_use]
    pub fn get<'a>(&self, document: &'a str) -> Option<&'a str> {
        find(document, &self.0)
    }

    /// Returns the document with the value at this place replaced with `json`, and all other bytes as they are. A member
    /// that an object lacks is added at its end, and so is the element of an array after its last one, whose index may be
    /// `-`.
    ///
    /// ```
    /// use eventos_sdk::Pointer;
    ///
    /// let document = r#"{"id": 1, "mag": 1.10, "depth": 1e400}"#;
    /// let mag: Pointer = "/mag".parse()?;
    /// assert_eq!(mag.set(document, "5.0")?, r#"{"id": 1, "mag": 5.0, "depth": 1e400}"#);
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// Returns a text that says why: `json` is not JSON, or the object or array to add to does not exist.
    pub fn set(&self, document: &str, json: &str) -> Result<String, String> {
        serde_json::from_str::<&RawValue>(json)
            .map_err(|error| format!("{json:?} is not JSON: {error}"))?;
        let Some((name, parents)) = self.0.split_last() else {
            return Ok(json.to_owned());
        };
        if let Some(old) = find(document, &self.0) {
            let start = start_of(old, document);
            return Ok([&document[..start], json, &document[start + old.len()..]].concat());
        }
        let parent = find(document, parents)
            .ok_or_else(|| format!("there is nothing at {:?}", Self(parents.to_vec()).text()))?;
        let parent = parent.trim();
        let added = added(parent, name, json)
            .ok_or_else(|| format!("nothing can be added at {:?}", self.text()))?;
        // Before the closing brace or bracket, and the space in front of it.
        let inner = parent[..parent.len() - 1].trim_end();
        let at = start_of(parent, document) + inner.len();
        Ok([&document[..at], &added, &document[at..]].concat())
    }

    fn text(&self) -> String {
        let escape = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.0.iter().map(escape).collect()
    }
}

fn find<'a>(document: &'a str, names: &[String]) -> Option<&'a str> {
    names
        .iter()
        .try_fold(document, |json, name| child(json, name))
}

/// Returns the index in `document` at which `part`, a slice of it, begins.
fn start_of(part: &str, document: &str) -> usize {
    part.as_ptr() as usize - document.as_ptr() as usize
}

/// Returns what has to be added at the end of an object or array, so that it has `json` as this member or element. Returns
/// `None` if that is not possible.
fn added(parent: &str, name: &str, json: &str) -> Option<String> {
    let comma = |is_first: bool| if is_first { "" } else { "," };
    let members = parent.strip_prefix('{');
    if let Some(members) = members.and_then(|rest| rest.strip_suffix('}')) {
        let name = serde_json::to_string(name).ok()?;
        return Some(format!("{}{name}:{json}", comma(members.trim().is_empty())));
    }
    // A value of any other kind is not one of a list.
    let elements: Vec<&RawValue> = serde_json::from_str(parent).ok()?;
    let is_next = name == "-" || index(name) == Some(elements.len());
    is_next.then(|| format!("{}{json}", comma(elements.is_empty())))
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
        pointer.parse::<Pointer>().expect("a pointer").get(document)
    }

    fn set(document: &str, pointer: &str, json: &str) -> Result<String, String> {
        pointer
            .parse::<Pointer>()
            .expect("a pointer")
            .set(document, json)
    }

    /// The tests of the other SDKs have the same table: what is set where, and which part of the document is replaced with what.
    #[test]
    fn what_is_set_leaves_the_rest_byte_for_byte() {
        let document =
            r#" {"a": {"b" : [1.10, {"c":1e400}]}, "":7,"x/y":"\u00e1" , "k":1, "k" : 2 } "#;
        for (pointer, json, old, new) in [
            ("/a/b/1/c", "-0", "1e400", "-0"),
            ("/a/b/0", "[ ]", "1.10", "[ ]"),
            ("/a", "null", r#"{"b" : [1.10, {"c":1e400}]}"#, "null"),
            ("/", "8", "7", "8"),
            ("/x~1y", "1", r#""\u00e1""#, "1"),
            ("/k", "3", "2", "3"),
            ("/ñ\"", "1e999", " } ", r#","ñ\"":1e999 } "#),
            ("/a/b/-", "2", "]", ",2]"),
            ("/a/b/2", "2", "]", ",2]"),
        ] {
            let (before, after) = document.rsplit_once(old).expect("a part");
            let expected = [before, new, after].concat();
            assert_eq!(set(document, pointer, json), Ok(expected), "{pointer}");
        }
        assert_eq!(set("1", "", "true").as_deref(), Ok("true"));
        assert_eq!(set("{ }", "/a", "1").as_deref(), Ok(r#"{"a":1 }"#));
        assert_eq!(
            set(r#"{"a":[ ]}"#, "/a/0", "1").as_deref(),
            Ok(r#"{"a":[1 ]}"#)
        );
    }

    #[test]
    fn what_cannot_be_set_is_an_error() {
        let document = r#"{"a":[1],"b":"text","c":{"d":7}}"#;
        for (pointer, json, error) in [
            ("/d/e", "1", r#"there is nothing at "/d""#),
            ("/a/0/x", "1", r#"nothing can be added at "/a/0/x""#),
            ("/c/d/0", "1", r#"nothing can be added at "/c/d/0""#),
            ("/a/2", "1", r#"nothing can be added at "/a/2""#),
            ("/a/01", "1", r#"nothing can be added at "/a/01""#),
            ("/b/x~0", "1", r#"nothing can be added at "/b/x~0""#),
            ("/a", "NaN", r#""NaN" is not JSON: "#),
            ("/a", "1,2", r#""1,2" is not JSON: "#),
            ("/a", "", r#""" is not JSON: "#),
        ] {
            let refused = set(document, pointer, json).expect_err("refused");
            assert!(refused.starts_with(error), "{pointer}: {refused}");
        }
        for no_document in ["", " ", "{", "[", "7", "[é", "{é", "é"] {
            assert!(set(no_document, "/a", "1").is_err(), "{no_document}");
        }
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
