//! Compares a value of an Evento with the setting `value`.

use std::{borrow::Cow, cmp::Ordering};

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Deserialize)]
pub(crate) enum Op {
    #[serde(rename = "==")]
    Equal,
    #[serde(rename = "!=")]
    Unequal,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    AtLeast,
}

/// Returns whether `json op value` holds. `json` is the text of a JSON value; its type decides how the two are compared.
pub(crate) fn holds(json: &str, op: Op, value: &str) -> bool {
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: Option<Text> = serde_json::from_str(json).ok();
            op.accepts(text.map(|text| (*text.0).cmp(value)))
        }
        Some(b'-' | b'0'..=b'9') => op.accepts(compare_numbers(json, value)),
        _ => {
            let parse = |json| serde_json::from_str::<Value>(json).ok();
            let equal = parse(value).is_some_and(|value| parse(json) == Some(value));
            op.accepts(equal.then_some(Ordering::Equal))
        }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Compares two integers exactly and other numbers as 64-bit floating point. Returns `None` if `right` is not a number.
fn compare_numbers(left: &str, right: &str) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return Some(left.cmp(&right));
    }
    let (left, right): (f64, f64) = (left.parse().ok()?, right.parse().ok()?);
    left.partial_cmp(&right)
}

impl Op {
    /// Returns whether the operator holds for two values that compare like this. Without an order only `!=` holds.
    fn accepts(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Unequal => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::AtLeast => order.is_some_and(Ordering::is_ge),
        }
    }
}
