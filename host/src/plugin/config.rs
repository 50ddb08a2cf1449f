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
    /// Where compiled handlers are kept, so that the next start compiles nothing; empty keeps none.
    pub cache: PathBuf,
    /// Bytes on the disk for them, at most; those unused for longest go first.
    pub cache_max_bytes: ByteSize,
    /// For every handler.
    pub defaults: Settings,
}

/// What a handler may use, and what becomes of what it fails on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Linear memory of one instance, at most.
    pub memory: ByteSize,
    /// CPU time of one call, at most; more than 0.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub timeout: SignedDuration,
    /// Bytes that one call may answer, and store and emit, at most.
    pub output: ByteSize,
    /// Stack of one call, at most.
    pub stack: ByteSize,
    /// What becomes of a record that a handler fails on, or has asked to retry too often.
    pub on_error: OnError,
    /// How often a record is handed in again after the outcome `retry` and, with
    /// [`OnError::Retry`], after a failure.
    pub retries: u32,
    /// A partition stops after more failures in a row than these; 0 lets it go on for ever.
    pub max_failures: u32,
}

/// What becomes of a record that a handler cannot handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes to the dead-letter topic, the others go on.
    #[default]
    DeadLetter,
    /// It is handed in again, as often as `retries` says; then it goes to the dead-letter topic.
    Retry,
    /// It is left out, with a line in the log.
    Skip,
    /// Its partition stops before it, until the handler is replaced or resumed.
    Stop,
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
    /// Overrides [`Settings::output`].
    pub output: Option<ByteSize>,
    /// Overrides [`Settings::stack`].
    pub stack: Option<ByteSize>,
    /// Overrides [`Settings::on_error`].
    pub on_error: Option<OnError>,
    /// Overrides [`Settings::retries`].
    pub retries: Option<u32>,
    /// Overrides [`Settings::max_failures`].
    pub max_failures: Option<u32>,
    /// Handed to the handler: strings as they are, other values as JSON text.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Topics that it may emit to.
    pub produce: Vec<String>,
}

/// The least and the most that a size may be, and how to say so.
struct Bounds(u64, u64, &'static str);

/// Of [`Settings::memory`]: one page of WebAssembly, and all that a 32-bit memory can address.
const MEMORY: Bounds = Bounds(64 << 10, 4 << 30, "expected \"64KiB\" to \"4GiB\"");

/// Of [`Settings::output`].
const OUTPUT: Bounds = Bounds(1 << 10, 1 << 30, "expected \"1KiB\" to \"1GiB\"");

/// Of [`Settings::stack`]: the threads that call handlers have 2 MiB, and need some themselves.
const STACK: Bounds = Bounds(32 << 10, 1 << 20, "expected \"32KiB\" to \"1MiB\"");

/// Of [`Config::cache_max_bytes`]; a handler in Python takes some 60 MB.
const CACHE: Bounds = Bounds(1 << 20, u64::MAX, "expected \"1MiB\" or more");

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let own = HandlerConfig {
            memory: Some(self.defaults.memory),
            timeout: Some(self.defaults.timeout),
            output: Some(self.defaults.output),
            stack: Some(self.defaults.stack),
            ..HandlerConfig::default()
        };
        let defaults = own.problems().into_iter();
        let mut problems: Vec<_> = defaults
            .map(|(key, why)| (format!("defaults.{key}"), why))
            .collect();
        if self.dir.as_os_str().is_empty() {
            problems.push(("dir".to_owned(), "expected a path".to_owned()));
        }
        problems.extend(size("cache_max_bytes", Some(self.cache_max_bytes), &CACHE));
        problems
    }
}

impl HandlerConfig {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let timeout = self.timeout.filter(|timeout| !timeout.is_positive());
        let timeout = timeout.map(|_| ("timeout".to_owned(), "expected more than 0".to_owned()));
        let sizes = [
            size("memory", self.memory, &MEMORY),
            size("output", self.output, &OUTPUT),
            size("stack", self.stack, &STACK),
        ];
        sizes.into_iter().flatten().chain(timeout).collect()
    }
}

fn size(key: &str, size: Option<ByteSize>, bounds: &Bounds) -> Option<(String, String)> {
    let Bounds(least, most, expected) = *bounds;
    let fits = (least..=most).contains(&size?.as_u64());
    (!fits).then(|| (key.to_owned(), expected.to_owned()))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("plugins"),
            cache: PathBuf::from("data/handlers"),
            cache_max_bytes: ByteSize::gib(1),
            defaults: Settings::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
            timeout: SignedDuration::from_secs(1),
            output: ByteSize::mib(16),
            stack: ByteSize::kib(512),
            on_error: OnError::default(),
            retries: 3,
            max_failures: 1_000,
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
            output: self.output.unwrap_or(defaults.output),
            stack: self.stack.unwrap_or(defaults.stack),
            on_error: self.on_error.unwrap_or(defaults.on_error),
            retries: self.retries.unwrap_or(defaults.retries),
            max_failures: self.max_failures.unwrap_or(defaults.max_failures),
        }
    }
}
