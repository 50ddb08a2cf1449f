//! `EVENTOS__…` variables as a source of settings; the documentation of the parent module has the rules.
//!
//! The `config` crate's own source lowercases every name, splits property names at their dots and forgets which
//! variable a value came from. So this is another source for the same builder.

use std::{collections::BTreeMap, ffi::OsString};

use config::{ConfigError, Map, Source, Value as Setting, ValueKind};
use serde_json::Value;

use super::{
    key::{Key, Segment},
    problem::Problem,
};

const PREFIX: &str = "EVENTOS__";

/// The variables that set something, by their key.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<Key, Variable>);

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    text: String,
}

impl Variables {
    /// Selects the variables with the prefix. `file` shows how the file spells names that the user chose.
    pub(super) fn new(
        all: impl IntoIterator<Item = (OsString, OsString)>,
        file: &Value,
    ) -> (Self, Vec<Problem>) {
        let (mut set, mut problems) = (Self::default(), Vec::new());
        for (name, text) in all {
            let name = name.to_string_lossy().into_owned();
            let Some(path) = strip_prefix(&name) else {
                continue;
            };
            let key = key(path, file);
            match text.into_string() {
                Ok(text) => problems.extend(set.insert(key, Variable { name, text })),
                Err(_) => {
                    let message = format!("the value for {key} is not UTF-8");
                    problems.push(Problem::new(name, key.to_string(), message));
                }
            }
        }
        (set, problems)
    }

    fn insert(&mut self, key: Key, variable: Variable) -> Option<Problem> {
        let overlaps = |other: &Key| other.contains(&key) || key.contains(other);
        if let Some((other, first)) = self.0.iter().find(|(other, _)| overlaps(other)) {
            let message = format!("sets {key}, but {} sets {other}", first.name);
            return Some(Problem::new(variable.name, key.to_string(), message));
        }
        self.0.insert(key, variable);
        None
    }

    /// Returns the name of the variable that set `key`, or a table or list that contains it.
    pub(super) fn around(&self, key: &Key) -> Option<&str> {
        let found = self.0.iter().find(|(set, _)| set.contains(key));
        found.map(|(_, variable)| variable.name.as_str())
    }

    /// Returns the name of a variable that set something in the table `key`.
    pub(super) fn within(&self, key: &Key) -> Option<&str> {
        let found = self.0.iter().find(|(set, _)| key.contains(set));
        found.map(|(_, variable)| variable.name.as_str())
    }

    /// Returns what a variable's text may mean where a string is not accepted, in reverse order of preference.
    pub(super) fn readings(&self) -> BTreeMap<Key, Vec<Value>> {
        let readings = |(key, variable): (&Key, &Variable)| {
            let scalar = scalar(&variable.text);
            let items = scalar.as_ref().and_then(Value::as_array);
            let has_tables = items.is_some_and(|items| items.iter().any(Value::is_object));
            // They are popped from the end. Tables are never meant as texts.
            let texts = (!has_tables).then(|| list(&variable.text));
            (key.clone(), texts.into_iter().chain(scalar).collect())
        };
        self.0.iter().map(readings).collect()
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Setting>, ConfigError> {
        let mut root = Map::new();
        for (Key(segments), Variable { name, text }) in &self.0 {
            let mut table = &mut root;
            for (i, segment) in segments.iter().enumerate() {
                let Segment::Name(segment) = segment else {
                    continue;
                };
                let value = if i + 1 == segments.len() {
                    ValueKind::from(text.as_str())
                } else {
                    ValueKind::Table(Map::new())
                };
                let value = table
                    .entry(segment.clone())
                    .or_insert_with(|| Setting::new(Some(name), value));
                match &mut value.kind {
                    ValueKind::Table(inner) => table = inner,
                    // The last segment: no variable sets a part of what another one sets.
                    _ => break,
                }
            }
        }
        Ok(root)
    }
}

fn strip_prefix(name: &str) -> Option<&str> {
    let (prefix, path) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(path)
}

fn key(path: &str, file: &Value) -> Key {
    let names: Vec<_> = path.split("__").flat_map(|part| part.split('.')).collect();
    if let [kafka, properties, rest @ ..] = &names[..]
        && kafka.eq_ignore_ascii_case("kafka")
        && properties.eq_ignore_ascii_case("properties")
        && !rest.is_empty()
    {
        let property = rest.join(".").to_lowercase();
        return Key::from_iter(["kafka", "properties", &property]);
    }
    let mut at = Some(file);
    let spelled = names.iter().map(|name| {
        let name = at
            .and_then(Value::as_object)
            .and_then(|table| spelling(name, table))
            .unwrap_or_else(|| name.to_lowercase());
        at = at.and_then(|table| table.get(&name));
        Segment::Name(name)
    });
    Key(spelled.collect())
}

/// Returns how `table` spells `name`: exactly, or else with other case and dashes.
fn spelling(name: &str, table: &serde_json::Map<String, Value>) -> Option<String> {
    let plain = |name: &str| name.replace('-', "_").to_lowercase();
    let same = || table.keys().find(|key| *key == name);
    let alike = || table.keys().find(|key| plain(key) == plain(name));
    same().or_else(alike).cloned()
}

/// Parses a number, boolean, list or inline table in TOML's notation.
fn scalar(text: &str) -> Option<Value> {
    fn json(value: &toml_edit::Value) -> Option<Value> {
        use toml_edit::Value as Toml;
        match value {
            Toml::String(text) => Some(text.value().as_str().into()),
            Toml::Integer(number) => Some((*number.value()).into()),
            Toml::Float(number) => Some((*number.value()).into()),
            Toml::Boolean(truth) => Some((*truth.value()).into()),
            Toml::Array(list) => list.iter().map(json).collect(),
            Toml::InlineTable(table) => {
                let member = |(name, value)| Some((String::from(name), json(value)?));
                table.iter().map(member).collect()
            }
            Toml::Datetime(_) => None,
        }
    }
    json(&text.trim().parse().ok()?)
}

/// Parses `a,b` as a list of texts.
fn list(text: &str) -> Value {
    let items = text.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}
