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
