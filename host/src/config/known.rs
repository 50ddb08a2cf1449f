//! The keys that exist, taken from the defaults, and the nearest one to a key that does not exist.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Config,
    key::{Key, Segment},
};
use crate::http::KeyConfig;

/// Placeholder for the name of a handler.
const NAME: &str = "NAME";

/// Every key that exists.
#[derive(Debug)]
pub(super) struct Known {
    tables: Vec<Key>,
    values: Vec<Key>,
    /// The keys of tables in lists, without indices.
    elements: Vec<Key>,
}

impl Default for Known {
    fn default() -> Self {
        let handler = BTreeMap::from([(NAME.to_owned(), Default::default())]);
        let mut every = Config {
            handler,
            ..Config::default()
        };
        every.http.auth.keys = vec![KeyConfig {
            rate: Some(1),
            ..KeyConfig::default()
        }];
        let mut known = Self {
            tables: Vec::new(),
            values: Vec::new(),
            elements: Vec::new(),
        };
        // Only a map without string keys could not be represented as a value, and there is none.
        let tree = serde_json::to_value(every).unwrap_or_default();
        known.add(&Key::default(), &tree);
        known
    }
}

impl Known {
    fn add(&mut self, at: &Key, value: &Value) {
        let Some(table) = value.as_object() else {
            let element = value.get(0).and_then(Value::as_object);
            let names = element.into_iter().flat_map(|element| element.keys());
            let members = names.map(|name| at.join(&Key::from_iter([name.as_str()])));
            self.elements.extend(members);
            return self.values.push(at.clone());
        };
        self.tables.push(at.clone());
        for (name, value) in table {
            self.add(&at.join(&Key::from_iter([name.as_str()])), value);
        }
    }

    /// Returns the keys of values, with `NAME` in place of a handler's name.
    #[cfg(test)]
    pub(super) fn values(&self) -> &[Key] {
        &self.values
    }

    /// Returns whether `key` may be set.
    pub(super) fn has(&self, key: &Key) -> bool {
        if matches!(
            key.names()[..],
            ["kafka", "properties", ..] | ["handler", _, "config", ..]
        ) {
            return true;
        }
        let pattern = pattern(key);
        [&self.tables, &self.values, &self.elements]
            .iter()
            .any(|keys| keys.contains(&pattern))
    }

    /// Returns a suggestion for a key that does not exist: the most similar key, or the most similar table for a
    /// table; if nothing is similar, the keys of its table.
    pub(super) fn instead(&self, key: &Key, is_table: bool) -> String {
        let candidates = match key.0.iter().any(|at| matches!(at, Segment::Index(_))) {
            true => return self.siblings(key),
            false if is_table => &self.tables,
            false => &self.values,
        };
        // `handlers.store` as a table is meant to be `handler.store`; a value there does not name a handler.
        let names = key.names();
        let handler = names.get(1).filter(|_| is_table || names.len() > 2);
        let named = candidates.iter().filter_map(|known| match handler {
            Some(handler) => Some(with_name(known, handler)),
            None => (!known.names().contains(&NAME)).then(|| known.clone()),
        });
        let nearest = named
            .filter(|known| alike(last(known), last(key)) >= 0.5)
            .max_by(|a, b| likeness(a, key).total_cmp(&likeness(b, key)));
        match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => self.siblings(key),
        }
    }

    /// `[store] has max_bytes, max_events`.
    fn siblings(&self, key: &Key) -> String {
        let table = key.parent().unwrap_or_default();
        let all = self.tables.iter().chain(&self.values);
        let all = all.chain(&self.elements);
        let same = |known: &&Key| match known.parent() {
            Some(parent) => pattern(&parent) == pattern(&table),
            None => false,
        };
        let mut names: Vec<_> = all
            .filter(same)
            .map(last)
            .filter(|name| *name != NAME)
            .collect();
        names.sort_unstable();
        let names = names.join(", ");
        if table.0.is_empty() {
            format!("the tables are {names}")
        } else {
            format!("[{table}] has {names}")
        }
    }
}

/// Returns `handler.NAME.memory` for `handler.store.memory`.
fn pattern(key: &Key) -> Key {
    match &key.names()[..] {
        ["handler", _, rest @ ..] => ["handler", NAME].iter().chain(rest).copied().collect(),
        names => names.iter().copied().collect(),
    }
}

fn last(key: &Key) -> &str {
    match key.0.last() {
        Some(Segment::Name(name)) => name,
        _ => "",
    }
}

fn with_name(pattern: &Key, handler: &str) -> Key {
    let names = pattern.names().into_iter();
    names
        .map(|name| if name == NAME { handler } else { name })
        .collect()
}

/// Returns how similar two keys are, by the last name and by the whole path.
fn likeness(a: &Key, b: &Key) -> f64 {
    alike(last(a), last(b)) + alike(&a.to_string(), &b.to_string())
}

/// Returns 0 for nothing in common, 1 for equality.
fn alike(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}
