//! Comparing a value of an Evento with one of the settings.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Deserialize)]
pub enum Op {
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

/// Whether `json op value`, where `json` is the text of a JSON value and says how the two are compared.
pub fn holds(json: &str, op: Op, value: &str) -> bool {
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: Option<Text> = serde_json::from_str(json).ok();
            op.takes(text.map(|text| (*text.0).cmp(value)))
        }
        Some(b'-' | b'0'..=b'9') => op.takes(numbers(json, value)),
        _ => {
            let read = |json| serde_json::from_str::<Value>(json).ok();
            let equal = read(value).is_some_and(|value| read(json) == Some(value));
            op.takes(equal.then_some(Ordering::Equal))
        }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Integers to the last digit, others as 64-bit floating point.
fn numbers(left: &str, right: &str) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return Some(left.cmp(&right));
    }
    let (left, right): (f64, f64) = (left.parse().ok()?, right.parse().ok()?);
    left.partial_cmp(&right)
}

impl Op {
    /// Whether it holds of two values in this order; what has no order is only unequal.
    fn takes(self, order: Option<Ordering>) -> bool {
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
