//! The keys that exist, as the defaults have them, and which of them is nearest to one that does not.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Config,
    key::{Key, Segment},
};

/// Stands for the name of a handler.
const NAME: &str = "NAME";

/// Every key that exists.
#[derive(Debug)]
pub(super) struct Known {
    tables: Vec<Key>,
    values: Vec<Key>,
}

impl Default for Known {
    fn default() -> Self {
        let handler = BTreeMap::from([(NAME.to_owned(), Default::default())]);
        let every = Config {
            handler,
            ..Config::default()
        };
        let mut known = Self {
            tables: Vec::new(),
            values: Vec::new(),
        };
        // A setting that cannot be shown as a value would have to be a map without string keys.
        let tree = serde_json::to_value(every).unwrap_or_default();
        known.add(&Key::default(), &tree);
        known
    }
}

impl Known {
    fn add(&mut self, at: &Key, value: &Value) {
        let Some(table) = value.as_object() else {
            return self.values.push(at.clone());
        };
        self.tables.push(at.clone());
        for (name, value) in table {
            self.add(&at.join(&Key::from_iter([name.as_str()])), value);
        }
    }

    /// The keys of values, with `NAME` for the name of a handler.
    #[cfg(test)]
    pub(super) fn values(&self) -> &[Key] {
        &self.values
    }

    /// Whether `key` may be set.
    pub(super) fn has(&self, key: &Key) -> bool {
        if matches!(
            key.names()[..],
            ["kafka", "properties", ..] | ["handler", _, "config", ..]
        ) {
            return true;
        }
        let pattern = pattern(key);
        self.tables.contains(&pattern) || self.values.contains(&pattern)
    }

    /// What may have been meant by a key that does not exist: the one that is most like it, of tables for a table;
    /// if none is like it, what its table has.
    pub(super) fn instead(&self, key: &Key, is_table: bool) -> String {
        let candidates = if is_table { &self.tables } else { &self.values };
        // `handlers.store` as a table is meant as `handler.store`; a value there names no handler.
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

/// `handler.store.memory` as `handler.NAME.memory`.
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

/// How alike two keys are, by the last name and by the whole.
fn likeness(a: &Key, b: &Key) -> f64 {
    alike(last(a), last(b)) + alike(&a.to_string(), &b.to_string())
}

/// 0 for nothing in common, 1 for the same.
fn alike(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}
