//! Deserializes the settings of a handler into a type of its author.
//!
//! The host passes each setting as a text: a string as it is, any other value as JSON. The requested type decides how
//! the text is read.

use serde::de::{
    DeserializeOwned, Deserializer, Error as _, IgnoredAny, IntoDeserializer, Visitor,
    value::{MapDeserializer, StrDeserializer},
};
use serde_json::Error;

pub(crate) fn read<T: DeserializeOwned>(settings: &[(String, String)]) -> Result<T, String> {
    let settings = settings
        .iter()
        .map(|(key, text)| (key.as_str(), Setting { key, text }));
    T::deserialize(MapDeserializer::new(settings))
        .map_err(|error: Error| format!("invalid settings: {error}"))
}

struct Setting<'s> {
    key: &'s str,
    text: &'s str,
}

impl Setting<'_> {
    /// Prefixes an error with the key of the setting.
    fn error(&self, error: &Error) -> Error {
        // The position is dropped: it refers to JSON that the host generated, not to the user's configuration.
        let error = error.to_string();
        let (error, _) = error.split_once(" at line ").unwrap_or((&error, ""));
        Error::custom(format!("`{}`: {error}", self.key))
    }
}

impl<'s> IntoDeserializer<'s, Error> for Setting<'s> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'s> Deserializer<'s> for Setting<'s> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'s>>(self, visitor: V) -> Result<V::Value, Error> {
        if serde_json::from_str::<IgnoredAny>(self.text).is_err() {
            return self.deserialize_str(visitor);
        }
        let mut json = serde_json::Deserializer::from_str(self.text);
        json.deserialize_any(visitor)
            .map_err(|error| self.error(&error))
    }

    fn deserialize_str<V: Visitor<'s>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor
            .visit_borrowed_str(self.text)
            .map_err(|error| self.error(&error))
    }

    fn deserialize_string<V: Visitor<'s>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'s>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'s>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'s>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Reads the text of the setting as the name of a variant.
    fn deserialize_enum<V: Visitor<'s>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StrDeserializer<'_, Error> = self.text.into_deserializer();
        visitor.visit_enum(name).map_err(|error| self.error(&error))
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'s>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Direction {
        Up,
        Down,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        name: String,
        #[serde(default)]
        least: Option<f64>,
        #[serde(default)]
        tipos: Vec<String>,
        #[serde(default)]
        topics: BTreeMap<String, String>,
        way: Direction,
    }

    fn read(settings: &[(&str, &str)]) -> Result<Settings, String> {
        let owned = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
        super::read(&settings.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_type_says_what_a_text_is() {
        let settings = read(&[
            ("least", "4.5"),
            ("name", "1.0"),
            ("tipos", r#"["a","b"]"#),
            ("topics", r#"{"x":"y"}"#),
            ("way", "down"),
        ]);
        let expected = Settings {
            name: "1.0".to_owned(),
            least: Some(4.5),
            tipos: vec!["a".to_owned(), "b".to_owned()],
            topics: BTreeMap::from([("x".to_owned(), "y".to_owned())]),
            way: Direction::Down,
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (settings, error) in [
            (&[("name", "n")][..], "missing field `way`"),
            (
                &[("name", "n"), ("way", "up"), ("least", "much")],
                "`least`: invalid type: string \"much\", expected f64",
            ),
            (
                &[("name", "n"), ("way", "left")],
                "`way`: unknown variant `left`, expected `up` or `down`",
            ),
            (
                &[("name", "n"), ("nmae", "n")],
                "unknown field `nmae`, expected one of `name`, `least`, `tipos`, `topics`, `way`",
            ),
            (
                &[("name", "n"), ("tipos", "[1]")],
                "`tipos`: invalid type: integer `1`, expected a string",
            ),
        ] {
            assert_eq!(read(settings), Err(format!("invalid settings: {error}")));
        }
    }
}
