//! Keys, values and header values in JSON: a string, or `{"base64":"…"}` for bytes that are not UTF-8.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// JsonBytes that serialize to a string where they are UTF-8, and to base64 otherwise.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct JsonBytes(pub Vec<u8>);

#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a string or {\"base64\": \"…\"}")]
enum Form {
    Text(String),
    Encoded(Encoded),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    base64: String,
}

impl TryFrom<Form> for JsonBytes {
    type Error = base64::DecodeError;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        Ok(Self(match form {
            Form::Text(text) => text.into_bytes(),
            Form::Encoded(Encoded { base64 }) => BASE64_STANDARD.decode(base64)?,
        }))
    }
}

impl From<JsonBytes> for Form {
    fn from(JsonBytes(bytes): JsonBytes) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(other) => {
                let base64 = BASE64_STANDARD.encode(other.as_bytes());
                Self::Encoded(Encoded { base64 })
            }
        }
    }
}
