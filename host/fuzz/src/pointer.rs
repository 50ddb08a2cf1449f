//! Any text as a JSON pointer of the Rust SDK, and as what it is used on.

#[path = "../../../plugins/sdk/src/json.rs"]
mod json;

use serde_json::{Value, value::RawValue};

use crate::input::Input;
use json::Pointer;

/// Reads and sets any place of any document. It is the place that another parser finds, and the rest stays as it is.
///
/// # Panics
/// Panics if that is not so.
pub fn pointer(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (text, json) = (input.bytes(), input.bytes());
    let (Ok(text), Ok(json), Ok(document)) = (
        String::from_utf8(text),
        String::from_utf8(json),
        str::from_utf8(input.0),
    ) else {
        return;
    };
    let Ok(pointer) = text.parse::<Pointer>() else {
        assert!(!text.is_empty() && !text.starts_with('/'));
        return;
    };
    let found = pointer.get(document);
    let set = pointer.set(document, &json);
    // Not JSON, a number that no f64 holds, or too deep for this parser.
    let Ok(mut value) = serde_json::from_str::<Value>(document) else {
        return;
    };
    let parsed = |json: &str| serde_json::from_str::<Value>(json).expect("a part of the document");
    assert_eq!(found.map(parsed).as_ref(), value.pointer(&text));
    let Ok(changed) = set else {
        let is_json = serde_json::from_str::<&RawValue>(&json).is_ok();
        assert!(!is_json || found.is_none());
        return;
    };
    if found.is_some() || !text.ends_with("/-") {
        assert_eq!(pointer.get(&changed).map(str::trim), Some(json.trim()));
    }
    let (Ok(changed), Ok(json)) = (
        serde_json::from_str::<Value>(&changed),
        serde_json::from_str::<Value>(&json),
    ) else {
        return;
    };
    if let Some(place) = value.pointer_mut(&text) {
        *place = json;
        assert_eq!(changed, value);
    }
}
