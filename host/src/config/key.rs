//! The path of a key in the tree of settings.

use std::fmt;

use serde_json::Value;

/// A path from the root. It is displayed as in TOML: `kafka.properties."security.protocol"`, `produce[1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// A key of a table.
    Name(String),
    /// An index of a list.
    Index(usize),
}

impl Key {
    /// Parses a key as modules name it, for example `properties."group.id"`, `produce` or `auth.keys[0].hash`.
    pub(super) fn parse(key: &str) -> Self {
        if let Ok(names) = toml_edit::Key::parse(key) {
            return names.iter().map(toml_edit::Key::get).collect();
        }
        let element = key.split_once('[').and_then(|(list, rest)| {
            let (index, rest) = rest.split_once(']')?;
            let element = Self::parse(list).index(index.parse().ok()?);
            match rest.strip_prefix('.') {
                Some(rest) => Some(element.join(&Self::parse(rest))),
                None => rest.is_empty().then_some(element),
            }
        });
        element.unwrap_or_else(|| Self::from_iter([key]))
    }

    /// Returns `self` followed by `rest`.
    pub(super) fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// Returns the key of element `index` of the list at this key.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut key = self.clone();
        key.0.push(Segment::Index(index));
        key
    }

    /// Returns the key of the table or list that contains this one, or `None` for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// Returns whether `self` is `other`, or a table or list that contains it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Returns the names on the path, without indices.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.0.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        });
        names.collect()
    }

    /// Returns the value at this key.
    pub(super) fn get<'a>(&self, tree: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(tree, |at, segment| match segment {
            Segment::Name(name) => at.get(name),
            Segment::Index(index) => at.get(index),
        })
    }

    /// Returns the value at this key.
    pub(super) fn get_mut<'a>(&self, tree: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(tree, |at, segment| match segment {
            Segment::Name(name) => at.get_mut(name),
            Segment::Index(index) => at.get_mut(index),
        })
    }

    /// Removes the value; for an element of a list, the whole list. Returns whether there was one.
    pub(super) fn remove(&self, tree: &mut Value) -> bool {
        let Some((last, parent)) = self.0.split_last() else {
            return false;
        };
        let parent = Self(parent.to_vec());
        match (last, parent.get_mut(tree)) {
            (Segment::Index(_), _) => parent.remove(tree),
            (Segment::Name(name), Some(Value::Object(table))) => table.remove(name).is_some(),
            _ => false,
        }
    }
}

impl<'a> FromIterator<&'a str> for Key {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let name = |name: &str| Segment::Name(name.to_owned());
        Self(names.into_iter().map(name).collect())
    }
}

impl From<&serde_path_to_error::Path> for Key {
    /// Takes the part of the path that leads through tables and lists.
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment as At;
        let segment = |at: &At| match at {
            At::Map { key } => Some(Segment::Name(key.clone())),
            At::Seq { index } => Some(Segment::Index(*index)),
            At::Enum { .. } | At::Unknown => None,
        };
        Self(path.iter().map_while(segment).collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Name(name) => {
                    let dot = if i > 0 { "." } else { "" };
                    write!(f, "{dot}{}", toml_edit::Key::new(name).display_repr())?;
                }
            }
        }
        Ok(())
    }
}
