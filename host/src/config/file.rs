//! The configuration file: its text, and the line of each key.

use std::{io, path::Path};

use toml_edit::{Document, Item, TableLike};

use super::{
    Config, Problem,
    key::{Key, Segment},
};

/// A file that is valid TOML. The default is an empty file without a name.
#[derive(Debug, Default)]
pub(super) struct File {
    name: String,
    text: String,
    document: Option<Document<String>>,
}

impl File {
    /// Reads `path` or, without one, [`Config::DEFAULT_FILE`] if it exists.
    pub(super) fn find(path: Option<&Path>) -> Result<Self, Problem> {
        let (path, required) = match path {
            Some(path) => (path, true),
            None => (Path::new(Config::DEFAULT_FILE), false),
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(name, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
                Ok(Self::default())
            }
            Err(error) => Err(Problem::new(name, "", format!("cannot be read: {error}"))),
        }
    }

    /// Parses `text` as the content of a file of this name.
    pub(super) fn parse(name: String, text: String) -> Result<Self, Problem> {
        match Document::parse(text.clone()) {
            Ok(document) => Ok(Self {
                name,
                text,
                document: Some(document),
            }),
            Err(error) => Err(syntax(&name, &text, &error)),
        }
    }

    /// Returns the text, for the `config` crate to parse.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the file's name and the line of `key`, if the file contains it.
    pub(super) fn place(&self, key: &Key) -> Option<(String, usize)> {
        let root = self.document.as_ref()?.as_table();
        // A property name may be written as one quoted key or, because of its dots, as a path.
        let dotted = || {
            let names = key.names().into_iter().flat_map(|name| name.split('.'));
            position(root, &Key::from_iter(names).0)
        };
        let line = line(&self.text, position(root, &key.0).or_else(dotted)?);
        Some((format!("{}:{line}", self.name), line))
    }
}

/// Returns the byte at which the last key of `path` starts.
fn position(table: &dyn TableLike, path: &[Segment]) -> Option<usize> {
    let (Segment::Name(name), rest) = path.split_first()? else {
        return None;
    };
    let (key, item) = table.get_key_value(name)?;
    match (rest, item.as_table_like()) {
        ([], _) => key.span().or_else(|| start(item)).map(|span| span.start),
        ([Segment::Index(index), rest @ ..], None) => {
            let element = item.get(*index)?;
            match (rest, element.as_table_like()) {
                ([], _) => start(element).map(|span| span.start),
                (_, Some(table)) => position(table, rest),
                (_, None) => None,
            }
        }
        (_, Some(table)) => position(table, rest),
        (_, None) => None,
    }
}

/// Returns the range of an item; of an implied table, the range of its first item.
fn start(item: &Item) -> Option<std::ops::Range<usize>> {
    let first = || start(item.as_table_like()?.iter().next()?.1);
    item.span().or_else(first)
}

/// Returns the line of a byte position, counted from 1.
fn line(text: &str, position: usize) -> usize {
    1 + text
        .bytes()
        .take(position)
        .filter(|&byte| byte == b'\n')
        .count()
}

fn syntax(name: &str, text: &str, error: &toml_edit::TomlError) -> Problem {
    let position = error.span().map_or(0, |span| span.start).min(text.len());
    let line = line(text, position);
    let before = text.get(..position).unwrap_or_default();
    let column = 1 + before.chars().rev().take_while(|&c| c != '\n').count();
    // The line itself is not shown, since there may be a secret in it.
    let what = error.message().trim().replace('\n', ", ");
    let place = format!("{name}:{line}:{column}");
    Problem {
        line,
        ..Problem::new(place, "", format!("invalid TOML: {what}"))
    }
}
