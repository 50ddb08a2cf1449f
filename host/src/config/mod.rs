//! The configuration: each module's own `Config` under one roof, read from file and environment.
//!
//! Precedence: a command's flag, then the environment, then the file, then the default.
//!
//! # The environment
//!
//! `EVENTOS__KAFKA__GROUP_ID=orders` sets `kafka.group_id`: the prefix `EVENTOS__`, then the key with `__` for
//! each dot. Case does not matter; a name that the file spells with capitals or dashes (`[handler.My-Route]`) is
//! found as `EVENTOS__HANDLER__MY_ROUTE__…`.
//!
//! A value is text, and stays text where text is asked for (`EVENTOS__KAFKA__GROUP_ID=42` is the group `"42"`).
//! Where a number, a truth value or a list is asked for it is read as TOML writes one. A list may also be written
//! without brackets and quotes: `EVENTOS__HANDLER__ROUTE__PRODUCE=orders,payments`. An empty value is an empty
//! text or list, not an absent one.
//!
//! librdkafka's property names hold dots, which few shells allow in a variable. Both
//! `EVENTOS__KAFKA__PROPERTIES__SASL__PASSWORD=…` and, where a container runtime sets it,
//! `EVENTOS__KAFKA__PROPERTIES__sasl.password=…` set `sasl.password`; a single underscore stays one.

mod environment;
mod file;
mod key;
mod known;
mod merge;
mod problem;
mod properties;
mod rules;

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use serde::{Deserialize, Serialize};

use crate::{http, kafka, pipeline, plugin, store, telemetry};
use file::File;

pub use problem::{Problem, Problems};

/// Every setting of the program. An empty file gives [`Config::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the Eventos are.
    pub kafka: kafka::Config,
    /// The broker inside.
    pub embedded: eventos_broker::Config,
    /// What holds for every handler.
    pub handlers: plugin::Config,
    /// What holds for one handler, by its name.
    pub handler: BTreeMap<String, plugin::HandlerConfig>,
    /// What is promised of each record.
    pub delivery: pipeline::Config,
    /// Where that goes which leaves the chain of handlers.
    pub output: pipeline::OutputConfig,
    /// How much is kept for queries.
    pub store: store::Config,
    /// Where HTTP listens.
    pub http: http::Config,
    /// What the program says of itself.
    pub telemetry: telemetry::Config,
}

/// A configuration as far as it could be read: what is wrong has its default in `config`.
#[derive(Debug)]
pub struct Examined {
    /// Valid only if there are no problems.
    pub config: Config,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// Where each key was set, for warnings.
    pub places: Places,
}

/// Knows where a key was set.
#[derive(Debug, Default)]
pub struct Places(merge::Sources);

impl Config {
    /// Read when no file is named, if it exists; relative to the working directory.
    pub const DEFAULT_FILE: &str = "config/eventos.toml";

    /// Reads `file` and the environment of this process.
    ///
    /// # Errors
    /// Every [`Problem`] at once: a file that is named and cannot be read, a syntax error, unknown keys, wrong
    /// types, values out of their range.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        let Examined {
            config, problems, ..
        } = Self::examine(file, std::env::vars_os());
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// Like [`Config::load`] with these variables as the environment, and a configuration to go on with in any case.
    #[must_use]
    pub fn examine(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Examined {
        let mut problems = Vec::new();
        let file = File::find(file).unwrap_or_else(|problem| {
            problems.push(problem);
            File::default()
        });
        let (sources, found) = merge::Sources::new(file, variables);
        problems.extend(found);
        let config = sources.read(&mut problems);
        for (key, why) in rules::broken(&config, &sources) {
            // A value that could not be read was reported, and its default stands in for it.
            if !problems
                .iter()
                .any(|problem| problem.key == key.to_string())
            {
                problems.push(sources.invalid(&key, &why));
            }
        }
        problems.sort();
        let places = Places(sources);
        Examined {
            config,
            problems,
            places,
        }
    }
}

impl Places {
    /// A remark on the table `[handler.NAME]`.
    #[must_use]
    pub fn on_handler(&self, name: &str, message: String) -> Problem {
        let key = key::Key::from_iter(["handler", name]);
        self.0.at(&key, message)
    }
}

#[cfg(test)]
mod tests;
