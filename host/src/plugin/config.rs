//! The `[handlers]` and `[handler.NAME]` tables.

use std::{collections::BTreeMap, path::PathBuf};

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Where handlers are, and what holds for each unless its own table says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Every `*.wasm` directly inside is a handler; they run in file-name order.
    pub dir: PathBuf,
    /// For every handler.
    pub defaults: Settings,
}

/// What a handler may use, and what becomes of what it fails on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Linear memory of one instance, at most.
    pub memory: ByteSize,
    /// Time of one call, at most; more than 0.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub timeout: SignedDuration,
    /// What becomes of a record that a handler fails on, or has asked to retry too often.
    pub on_error: OnError,
    /// How often a record is handed in again after the outcome `retry`.
    pub retries: u32,
}

/// What becomes of a record that a handler cannot handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes to the dead-letter topic, the others go on.
    #[default]
    DeadLetter,
    /// It is left out, with a line in the log.
    Skip,
}

/// `[handler.NAME]`: one handler's own table. What is not set here comes from `[handlers.defaults]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HandlerConfig {
    /// Overrides [`Settings::memory`].
    pub memory: Option<ByteSize>,
    /// Overrides [`Settings::timeout`].
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::optional")]
    pub timeout: Option<SignedDuration>,
    /// Overrides [`Settings::on_error`].
    pub on_error: Option<OnError>,
    /// Overrides [`Settings::retries`].
    pub retries: Option<u32>,
    /// Handed to the handler: strings as they are, other values as JSON text.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Topics that it may emit to.
    pub produce: Vec<String>,
}

/// Smallest and largest [`Settings::memory`]: one page of WebAssembly, and all that a 32-bit memory can address.
const MEMORY: std::ops::RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::gib(4);

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let Settings {
            memory, timeout, ..
        } = self.defaults;
        let defaults = limits(Some(memory), Some(timeout));
        let mut problems: Vec<_> = defaults
            .map(|(key, why)| (format!("defaults.{key}"), why))
            .collect();
        if self.dir.as_os_str().is_empty() {
            problems.push(("dir".to_owned(), "expected a path".to_owned()));
        }
        problems
    }
}

impl HandlerConfig {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        limits(self.memory, self.timeout).collect()
    }
}

fn limits(
    memory: Option<ByteSize>,
    timeout: Option<SignedDuration>,
) -> impl Iterator<Item = (String, String)> {
    let memory = memory.filter(|memory| !MEMORY.contains(memory));
    let memory = memory.map(|_| ("memory", "expected \"64KiB\" to \"4GiB\""));
    let timeout = timeout.filter(|timeout| !timeout.is_positive());
    let timeout = timeout.map(|_| ("timeout", "expected more than 0"));
    let owned = |(key, why): (&str, &str)| (key.to_owned(), why.to_owned());
    memory.into_iter().chain(timeout).map(owned)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("plugins"),
            defaults: Settings::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
            timeout: SignedDuration::from_secs(1),
            on_error: OnError::default(),
            retries: 3,
        }
    }
}

impl HandlerConfig {
    /// The settings that hold for this handler.
    #[must_use]
    pub fn settings(&self, defaults: &Settings) -> Settings {
        Settings {
            memory: self.memory.unwrap_or(defaults.memory),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            on_error: self.on_error.unwrap_or(defaults.on_error),
            retries: self.retries.unwrap_or(defaults.retries),
        }
    }
}
