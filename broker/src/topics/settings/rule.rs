//! The values that a setting accepts, and what they set.

use std::ops::RangeInclusive;

use super::{SettingError, SettingValues};

/// A setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Kafka's name for it.
    pub(crate) name: &'static str,
    /// The name of the broker setting that is the default of all topics.
    pub(crate) broker_name: Option<&'static str>,
    /// What the setting does, for people.
    pub(crate) documentation: &'static str,
    pub(super) rule: Rule,
}

/// The type of a value (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text.
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Double,
    /// Texts separated by commas.
    List,
}

/// Which values a setting accepts, and what they set.
#[derive(Debug)]
pub(super) enum Rule {
    /// A whole number in the range.
    Number {
        kind: SettingKind,
        range: RangeInclusive<i64>,
        get: fn(&SettingValues) -> i64,
        set: fn(&mut SettingValues, i64),
    },
    /// A whole number in the range, without effect.
    NumberHint {
        kind: SettingKind,
        range: RangeInclusive<i64>,
        default: i64,
    },
    /// `true` or `false`, without effect.
    BooleanHint,
    /// A number from 0 to 1.
    Ratio {
        get: fn(&SettingValues) -> f64,
        set: fn(&mut SettingValues, f64),
    },
    /// One of the words.
    Word {
        words: &'static [&'static str],
        get: fn(&SettingValues) -> &'static str,
        set: fn(&mut SettingValues, &str),
    },
    /// Only the one value that is always in effect.
    Only {
        kind: SettingKind,
        value: &'static str,
        why: &'static str,
    },
    /// `cleanup.policy`.
    Policy,
}

/// All whole numbers.
pub(super) const ANY: RangeInclusive<i64> = i64::MIN..=i64::MAX;

impl Setting {
    /// Returns the type of the values.
    pub(crate) fn kind(&self) -> SettingKind {
        match &self.rule {
            Rule::Number { kind, .. } | Rule::NumberHint { kind, .. } | Rule::Only { kind, .. } => {
                *kind
            }
            Rule::BooleanHint => SettingKind::Boolean,
            Rule::Ratio { .. } => SettingKind::Double,
            Rule::Word { .. } => SettingKind::Text,
            Rule::Policy => SettingKind::List,
        }
    }

    /// Returns the value of a topic that does not set it.
    pub(crate) fn default(&self) -> String {
        let values = SettingValues::default();
        match &self.rule {
            Rule::Number { get, .. } => get(&values).to_string(),
            Rule::NumberHint { default, .. } => default.to_string(),
            Rule::BooleanHint => "false".to_owned(),
            Rule::Ratio { get, .. } => get(&values).to_string(),
            Rule::Word { get, .. } => get(&values).to_owned(),
            Rule::Only { value, .. } => (*value).to_owned(),
            Rule::Policy => {
                let both = [(values.log.compact, COMPACT), (values.log.delete, DELETE)];
                let active = both
                    .iter()
                    .filter(|(active, _)| *active)
                    .map(|(_, word)| *word);
                active.collect::<Vec<_>>().join(",")
            }
        }
    }

    /// Checks a value; returns it without the whitespace that Kafka ignores.
    pub(super) fn check(&self, value: &str) -> Result<String, SettingError> {
        let text = match self.rule {
            Rule::Policy => {
                let elements = value.trim().split(',').map(str::trim);
                elements.collect::<Vec<_>>().join(",")
            }
            _ => value.trim().to_owned(),
        };
        self.apply(&mut SettingValues::default(), &text)
            .map(|()| text)
    }

    /// Parses a value and sets it.
    pub(super) fn apply(&self, values: &mut SettingValues, text: &str) -> Result<(), SettingError> {
        let applied = match &self.rule {
            Rule::Number { range, set, .. } => number(text, range).map(|n| set(values, n)),
            Rule::NumberHint { range, .. } => number(text, range).map(drop),
            Rule::BooleanHint => boolean(text),
            Rule::Ratio { set, .. } => ratio(text).map(|n| set(values, n)),
            Rule::Word { words, set, .. } => one_of(text, words).map(|()| set(values, text)),
            Rule::Only { value, .. } if text == *value => Ok(()),
            Rule::Only { value, why, .. } => Err(format!("only {value:?} is supported: {why}")),
            Rule::Policy => policy(text).map(|(compact, delete)| {
                values.log.compact = compact;
                values.log.delete = delete;
            }),
        };
        applied.map_err(|why| SettingError::Value {
            name: self.name,
            value: text.to_owned(),
            why,
        })
    }
}

fn number(text: &str, range: &RangeInclusive<i64>) -> Result<i64, String> {
    let n: Option<i64> = text.parse().ok();
    n.filter(|n| range.contains(n))
        .ok_or_else(|| match (range.start(), range.end()) {
            _ if *range == ANY => "choose a whole number of 64 bits".to_owned(),
            (least, &i64::MAX) => format!("choose a whole number of 64 bits, at least {least}"),
            (least, most) => format!("choose a whole number from {least} to {most}"),
        })
}

fn boolean(text: &str) -> Result<(), String> {
    let known = ["true", "false"].iter();
    match known
        .into_iter()
        .any(|word| text.eq_ignore_ascii_case(word))
    {
        true => Ok(()),
        false => Err("choose true or false".to_owned()),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let n: Option<f64> = text.parse().ok();
    n.filter(|n| (0.0..=1.0).contains(n))
        .ok_or_else(|| "choose a number from 0 to 1".to_owned())
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    match words.contains(&text) {
        true => Ok(()),
        false => Err(format!("choose one of {}", words.join(", "))),
    }
}

const COMPACT: &str = "compact";
const DELETE: &str = "delete";

/// Returns whether to compact and whether to delete. Since Kafka 4.3, neither is a valid policy, too.
fn policy(text: &str) -> Result<(bool, bool), String> {
    let (mut compact, mut delete) = (false, false);
    for word in text.split(',').filter(|_| !text.is_empty()) {
        match word {
            COMPACT => compact = true,
            DELETE => delete = true,
            _ => return Err("choose from compact and delete, or leave it empty".to_owned()),
        }
    }
    Ok((compact, delete))
}
