//! The `[handlers]` and `[handler.NAME]` tables.

use std::{collections::BTreeMap, path::PathBuf};

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::PublicKey;

/// The location of the handlers, and the settings of every handler that does not override them in its own table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The drop-in folder: every `*.wasm` directly inside is a handler. They run in file-name order.
    pub dir: PathBuf,
    /// The folder of compiled handlers, so that the next start compiles nothing; empty disables the cache.
    pub cache: PathBuf,
    /// Maximum size of that folder; the least recently used files are removed first.
    pub cache_max_bytes: ByteSize,
    /// Maximum memory of the process that compiles a handler.
    pub compile_memory: ByteSize,
    /// The folder that keeps, for each drop-in folder and group, the versions that ran last, the one before each, and which
    /// handlers are paused; empty keeps nothing.
    pub versions: PathBuf,
    /// Whether a handler runs only if one of [`keys`](Self::keys) has signed its file.
    pub require_signature: bool,
    /// Ed25519 public keys that sign handlers, as [`PublicKey::parse`] reads them.
    pub keys: Vec<String>,
    /// Settings of every handler.
    pub defaults: Settings,
}

/// Limits of a handler, and the treatment of the records that it fails on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Maximum size of all linear memories and tables of one instance together.
    pub memory: ByteSize,
    /// Maximum CPU time of one call; more than 0.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub timeout: SignedDuration,
    /// Maximum number of bytes that one call may return, store and emit together.
    pub output: ByteSize,
    /// Maximum stack of one call.
    pub stack: ByteSize,
    /// Maximum number of lines that the handler logs in a second; 0 for any number.
    pub log_lines: u32,
    /// What happens to a record that the handler fails on, or has asked to retry too often.
    pub on_error: OnError,
    /// How often a record is passed to the handler again after the outcome `retry` and, with [`OnError::Retry`],
    /// after a failure.
    pub retries: u32,
    /// The number of consecutive failures after which a partition is halted; 0 never halts one.
    pub max_failures: u32,
}

/// What happens to a record that a handler cannot handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Sends the record to the dead-letter topic; the others continue.
    #[default]
    DeadLetter,
    /// Passes the record to the handler again, up to `retries` times, then sends it to the dead-letter topic.
    Retry,
    /// Skips the record, with a line in the log.
    Skip,
    /// Halts the partition before the record, until the handler is replaced or resumed.
    Stop,
}

/// The `[handler.NAME]` table of one handler. Keys that are missing come from `[handlers.defaults]`.
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
    /// Overrides [`Settings::log_lines`].
    pub log_lines: Option<u32>,
    /// Overrides [`Settings::on_error`].
    pub on_error: Option<OnError>,
    /// Overrides [`Settings::retries`].
    pub retries: Option<u32>,
    /// Overrides [`Settings::max_failures`].
    pub max_failures: Option<u32>,
    /// Passed to the handler: strings as they are, other values as JSON text.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Topics that the handler may emit to.
    pub produce: Vec<String>,
    /// SHA-256 of the only file that may run as this handler, in hexadecimal.
    pub sha256: Option<String>,
}

/// The smallest and the largest permitted size, and the text that says so.
struct Bounds(u64, u64, &'static str);

/// Bounds of [`Settings::memory`]: one page of WebAssembly, and all that a 32-bit memory can address.
const MEMORY: Bounds = Bounds(64 << 10, 4 << 30, "expected \"64KiB\" to \"4GiB\"");

/// Bounds of [`Settings::output`].
const OUTPUT: Bounds = Bounds(1 << 10, 1 << 30, "expected \"1KiB\" to \"1GiB\"");

/// Bounds of [`Settings::stack`]: the threads that call handlers have 2 MiB, and need some of it themselves.
const STACK: Bounds = Bounds(32 << 10, 1 << 20, "expected \"32KiB\" to \"1MiB\"");

/// Bounds of [`Config::cache_max_bytes`]; a handler in Python takes some 60 MB.
const CACHE: Bounds = Bounds(1 << 20, u64::MAX, "expected \"1MiB\" or more");

/// Bounds of [`Config::compile_memory`]: a small handler takes some 30 MiB.
const COMPILE: Bounds = Bounds(128 << 20, u64::MAX, "expected \"128MiB\" or more");

impl Config {
    /// Returns the invalid values: each key, relative to this table, with what was expected.
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
        problems.extend(size("compile_memory", Some(self.compile_memory), &COMPILE));
        for (i, _) in self
            .keys
            .iter()
            .enumerate()
            .filter(|(_, key)| PublicKey::parse(key).is_none())
        {
            let expected =
                "expected an Ed25519 public key: its 32 bytes in Base64, or in PEM format";
            problems.push((format!("keys[{i}]"), expected.to_owned()));
        }
        if self.require_signature && self.keys.is_empty() {
            let expected = "expected the key of at least one signer, because of require_signature";
            problems.push(("keys".to_owned(), expected.to_owned()));
        }
        problems
    }
}

impl HandlerConfig {
    /// Returns the invalid values: each key, relative to this table, with what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let timeout = self.timeout.filter(|timeout| !timeout.is_positive());
        let timeout = timeout.map(|_| ("timeout".to_owned(), "expected more than 0".to_owned()));
        let sizes = [
            size("memory", self.memory, &MEMORY),
            size("output", self.output, &OUTPUT),
            size("stack", self.stack, &STACK),
        ];
        let is_digest =
            |text: &&String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha256 = self.sha256.as_ref().filter(|text| !is_digest(text));
        let sha256 = sha256.map(|_| {
            (
                "sha256".to_owned(),
                "expected 64 hexadecimal digits".to_owned(),
            )
        });
        sizes
            .into_iter()
            .flatten()
            .chain(timeout)
            .chain(sha256)
            .collect()
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
            compile_memory: ByteSize::gib(2),
            versions: PathBuf::from("data/versions"),
            require_signature: false,
            keys: Vec::new(),
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
            log_lines: 1_000,
            on_error: OnError::default(),
            retries: 3,
            max_failures: 1_000,
        }
    }
}

impl HandlerConfig {
    /// Returns the settings of this handler, with `defaults` for what its table does not set.
    #[must_use]
    pub fn settings(&self, defaults: &Settings) -> Settings {
        Settings {
            memory: self.memory.unwrap_or(defaults.memory),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            output: self.output.unwrap_or(defaults.output),
            stack: self.stack.unwrap_or(defaults.stack),
            log_lines: self.log_lines.unwrap_or(defaults.log_lines),
            on_error: self.on_error.unwrap_or(defaults.on_error),
            retries: self.retries.unwrap_or(defaults.retries),
            max_failures: self.max_failures.unwrap_or(defaults.max_failures),
        }
    }
}
