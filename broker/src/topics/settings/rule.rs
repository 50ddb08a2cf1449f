//! What values one setting may have, and where they go.

use std::ops::RangeInclusive;

use super::{SettingError, Values};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Kafka's name for it.
    pub name: &'static str,
    /// The name of the same thing among a broker's settings, for all topics that do not set it.
    pub broker_name: Option<&'static str>,
    /// What it does here, for people.
    pub documentation: &'static str,
    pub(super) rule: Rule,
}

/// What a value is (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    /// Texts with commas between them.
    List,
}

/// What values a setting may have, and where they go.
#[derive(Debug)]
pub(super) enum Rule {
    /// A whole number within the range.
    Number {
        kind: Kind,
        range: RangeInclusive<i64>,
        get: fn(&Values) -> i64,
        set: fn(&mut Values, i64),
    },
    /// A whole number within the range, which changes nothing here.
    NumberHint {
        kind: Kind,
        range: RangeInclusive<i64>,
        default: i64,
    },
    /// `true` or `false`, which changes nothing here.
    BooleanHint,
    /// From 0 to 1.
    Ratio {
        get: fn(&Values) -> f64,
        set: fn(&mut Values, f64),
    },
    /// One of the words.
    Word {
        words: &'static [&'static str],
        get: fn(&Values) -> &'static str,
        set: fn(&mut Values, &str),
    },
    /// What holds anyway, and nothing else.
    Only {
        kind: Kind,
        value: &'static str,
        why: &'static str,
    },
    /// `cleanup.policy`.
    Policy,
}

/// Every whole number.
pub(super) const ANY: RangeInclusive<i64> = i64::MIN..=i64::MAX;

impl Setting {
    /// What its values are.
    pub fn kind(&self) -> Kind {
        match &self.rule {
            Rule::Number { kind, .. } | Rule::NumberHint { kind, .. } | Rule::Only { kind, .. } => {
                *kind
            }
            Rule::BooleanHint => Kind::Boolean,
            Rule::Ratio { .. } => Kind::Double,
            Rule::Word { .. } => Kind::Text,
            Rule::Policy => Kind::List,
        }
    }

    /// The value of a topic that does not set it.
    pub fn default(&self) -> String {
        let values = Values::default();
        match &self.rule {
            Rule::Number { get, .. } => get(&values).to_string(),
            Rule::NumberHint { default, .. } => default.to_string(),
            Rule::BooleanHint => "false".to_owned(),
            Rule::Ratio { get, .. } => get(&values).to_string(),
            Rule::Word { get, .. } => get(&values).to_owned(),
            Rule::Only { value, .. } => (*value).to_owned(),
            Rule::Policy => {
                let both = [(values.log.compact, COMPACT), (values.log.delete, DELETE)];
                let held = both.iter().filter(|(held, _)| *held).map(|(_, word)| *word);
                held.collect::<Vec<_>>().join(",")
            }
        }
    }

    /// The value without the blanks that Kafka overlooks, if a topic may have it.
    pub(super) fn check(&self, value: &str) -> Result<String, SettingError> {
        let text = match self.rule {
            Rule::Policy => {
                let elements = value.trim().split(',').map(str::trim);
                elements.collect::<Vec<_>>().join(",")
            }
            _ => value.trim().to_owned(),
        };
        self.apply(&mut Values::default(), &text).map(|()| text)
    }

    /// Puts a value where it belongs.
    pub(super) fn apply(&self, values: &mut Values, text: &str) -> Result<(), SettingError> {
        let applied = match &self.rule {
            Rule::Number { range, set, .. } => number(text, range).map(|n| set(values, n)),
            Rule::NumberHint { range, .. } => number(text, range).map(drop),
            Rule::BooleanHint => boolean(text),
            Rule::Ratio { set, .. } => ratio(text).map(|n| set(values, n)),
            Rule::Word { words, set, .. } => one_of(text, words).map(|()| set(values, text)),
            Rule::Only { value, .. } if text == *value => Ok(()),
            Rule::Only { value, why, .. } => Err(format!("it is always {value}: {why}")),
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

/// Whether to compact, and whether to delete. In Kafka 4.3 neither is a policy too.
fn policy(text: &str) -> Result<(bool, bool), String> {
    let (mut compact, mut delete) = (false, false);
    for word in text.split(',').filter(|_| !text.is_empty()) {
        match word {
            COMPACT => compact = true,
            DELETE => delete = true,
            _ => return Err("choose from compact and delete, or nothing".to_owned()),
        }
    }
    Ok((compact, delete))
}
