//! Merges file and environment into one tree, and reads the tree as a [`Config`], collecting every fault.

use config::{ConfigError, FileFormat, Map, Source, Value as Setting};
use serde_json::Value;

use super::{
    Config, Problem, environment::Variables, file::File, key::Key, known::Known, properties,
};

/// The settings as they were written, and their places.
#[derive(Debug, Default)]
pub(super) struct Sources {
    file: File,
    variables: Variables,
    tree: Value,
    known: Known,
}

impl Sources {
    /// Overlays the environment on the file.
    pub(super) fn new(
        file: File,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> (Self, Vec<Problem>) {
        let mut sources = Self {
            file,
            ..Self::default()
        };
        let merged = sources.merge(variables);
        let problems = merged.unwrap_or_else(|error| {
            let why = format!("cannot be read as settings: {error}");
            vec![sources.at(&Key::default(), why)]
        });
        (sources, problems)
    }

    fn merge(
        &mut self,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Vec<Problem>, ConfigError> {
        let mut file = config::File::from_str(self.file.text(), FileFormat::Toml).collect()?;
        let twice = properties::flatten(&mut file);
        let builder = config::Config::builder().add_source(Tree(file));
        let (variables, mut problems) =
            Variables::new(variables, &builder.build_cloned()?.try_deserialize()?);
        let merged = builder.add_source(variables.clone()).build()?;
        self.variables = variables;
        self.tree = merged.try_deserialize()?;
        problems.extend(twice.iter().map(|name| {
            let key = Key::from_iter(["kafka", "properties", name]);
            self.at(&key, format!("{key} is set twice, with and without quotes"))
        }));
        Ok(problems)
    }

    /// Deserializes the tree. Invalid values are reported, and replaced by their defaults in the result.
    pub(super) fn read(&self, problems: &mut Vec<Problem>) -> Config {
        let mut tree = self.tree.clone();
        let mut readings = self.variables.readings();
        loop {
            let error = match serde_path_to_error::deserialize(&tree) {
                Ok(config) => return config,
                Err(error) => error,
            };
            let key = Key::from(error.path());
            // The text of a variable may stand for a number or a list.
            let reading = readings
                .iter_mut()
                .find(|(set, _)| set.contains(&key))
                .and_then(|(set, readings)| Some((set.get_mut(&mut tree)?, readings.pop()?)));
            if let Some((value, reading)) = reading {
                *value = reading;
                continue;
            }
            problems.push(if self.known.has(&key) {
                self.invalid(&key, &explain(&error.inner().to_string()))
            } else {
                self.unknown(&key)
            });
            if !key.remove(&mut tree) {
                return Config::default();
            }
        }
    }

    /// Returns the problem of an invalid value.
    pub(super) fn invalid(&self, key: &Key, why: &str) -> Problem {
        let secret = matches!(
            key.names()[..],
            ["kafka", "properties", ..]
                | ["handler", _, "config", ..]
                // A wrong hash may be the key itself.
                | ["http", "auth", ..]
                | ["peers"]
                | ["peers", "secret", ..]
        );
        let value = key
            .get(&self.tree)
            .filter(|value| !secret && !value.is_object());
        let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
        self.at(key, format!("{key}{value}: {why}"))
    }

    fn unknown(&self, key: &Key) -> Problem {
        let is_table = key.get(&self.tree).is_some_and(Value::is_object);
        let instead = self.known.instead(key, is_table);
        self.at(key, format!("unknown key {key}; {instead}"))
    }

    /// Returns whether the file or the environment sets `key`.
    pub(super) fn sets(&self, key: &Key) -> bool {
        key.get(&self.tree).is_some()
    }

    /// Returns a problem at the place where `key` is set.
    pub(super) fn at(&self, key: &Key, message: String) -> Problem {
        if let Some(variable) = self.variables.around(key) {
            return Problem::new(variable, key.to_string(), message);
        }
        let around = std::iter::successors(key.parent(), Key::parent);
        let variable = self
            .variables
            .within(key)
            .map(|name| (name.to_owned(), usize::MAX));
        let place = self.file.place(key).or(variable);
        let place = place.or_else(|| {
            around
                .filter(|_| self.sets(key))
                .find_map(|key| self.file.place(&key))
        });
        let (place, line) = place.unwrap_or_else(|| ("default".to_owned(), usize::MAX));
        Problem {
            line,
            ..Problem::new(place, key.to_string(), message)
        }
    }
}

/// A tree of settings as a source for the builder.
#[derive(Clone, Debug)]
struct Tree(Map<String, Setting>);

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Setting>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Translates messages of serde and of the types into the terms of someone who writes TOML. Unknown messages stay as
/// they are.
fn explain(message: &str) -> String {
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    let right = match expected.unwrap_or(message) {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0",
        "parsable string" | "an integer or string" | "integer overflow" => {
            "a size such as \"64MiB\", or a number of bytes"
        }
        "invalid socket address syntax" | "socket address" => {
            "an address and port such as \"127.0.0.1:8080\""
        }
        "a signed duration string" => "a duration such as \"3s\" or \"500ms\"",
        "a map" => "a table",
        "a sequence" => "a list such as [\"a\", \"b\"]",
        "path string" => "a path",
        table if table.starts_with("struct ") => "a table",
        other if expected.is_some() => other,
        other => return other.to_owned(),
    };
    format!("expected {right}")
}
