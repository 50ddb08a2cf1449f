//! The configuration: composes each module's own `Config`, and reads it from file and environment.
//!
//! Precedence: a command's flag, then the environment, then the file, then the default.
//!
//! # The environment
//!
//! `EVENTOS__KAFKA__GROUP_ID=orders` sets `kafka.group_id`: the prefix `EVENTOS__`, then the key with `__` for
//! each dot. Case does not matter; a name that the file spells with capitals or dashes (`[handler.My-Route]`) is
//! found as `EVENTOS__HANDLER__MY_ROUTE__…`.
//!
//! A value is text, and stays text where a string is expected (`EVENTOS__KAFKA__GROUP_ID=42` is the group `"42"`).
//! Where a number, a boolean or a list is expected, it is parsed as TOML. A list may also be written without brackets
//! and quotes: `EVENTOS__HANDLER__ROUTE__PRODUCE=orders,payments`. An empty value is an empty string or list, not an
//! absent one.
//!
//! librdkafka's property names contain dots, which few shells allow in a variable. Both
//! `EVENTOS__KAFKA__PROPERTIES__SASL__PASSWORD=…` and, if a container runtime sets it,
//! `EVENTOS__KAFKA__PROPERTIES__sasl.password=…` set `sasl.password`; a single underscore stays an underscore.

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

use crate::{event, http, kafka, peers, pipeline, plugin, store, telemetry};
use file::File;

pub use problem::{Problem, Problems};

/// Every setting of the program. An empty file gives [`Config::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The Kafka cluster and the topic.
    pub kafka: kafka::Config,
    /// The built-in broker.
    pub embedded: eventos_broker::Config,
    /// Location and default settings of handlers.
    pub handlers: plugin::Config,
    /// Settings of single handlers, by name.
    pub handler: BTreeMap<String, plugin::HandlerConfig>,
    /// Bounds of what an Evento may contain.
    pub evento: event::EventoLimits,
    /// The delivery guarantee and the dead-letter topic.
    pub delivery: pipeline::Config,
    /// The destination of records that leave the handler chain.
    pub output: pipeline::OutputConfig,
    /// Bounds of the store.
    pub store: store::Config,
    /// Address and limits of the HTTP server.
    pub http: http::Config,
    /// How the instances of the group trust one another.
    pub peers: peers::Config,
    /// Logging.
    pub telemetry: telemetry::Config,
}

/// A configuration as far as it could be read: invalid values have their defaults in `config`.
#[derive(Debug)]
pub struct ConfigReport {
    /// Usable only if `problems` is empty.
    pub config: Config,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// The place where each key was set, for warnings.
    pub places: KeyPlaces,
}

/// Finds the place where a key was set.
#[derive(Debug, Default)]
pub struct KeyPlaces(merge::Sources);

impl Config {
    /// The file that is read if none is named and it exists; relative to the working directory.
    pub const DEFAULT_FILE: &str = "config/eventos.toml";

    /// Reads `file` and the environment of this process.
    ///
    /// # Errors
    /// Returns every [`Problem`] at once: a named file that cannot be read, a syntax error, unknown keys, wrong
    /// types, and values out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        let ConfigReport {
            config, problems, ..
        } = Self::examine(file, std::env::vars_os());
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// Works like [`Config::load`] with `variables` as the environment, but always returns a configuration.
    #[must_use]
    pub fn examine(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> ConfigReport {
        let mut problems = Vec::new();
        let file = File::find(file).unwrap_or_else(|problem| {
            problems.push(problem);
            File::default()
        });
        let (sources, found) = merge::Sources::new(file, variables);
        problems.extend(found);
        let config = sources.read(&mut problems);
        for (key, why) in rules::broken(&config, &sources) {
            // If a value could not be read, that was reported already, and `config` has its default.
            let is_reported = problems.iter().any(|problem| {
                let rest = problem.key.strip_prefix(&key.to_string());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
            });
            if !is_reported {
                problems.push(sources.invalid(&key, &why));
            }
        }
        problems.sort();
        let places = KeyPlaces(sources);
        ConfigReport {
            config,
            problems,
            places,
        }
    }
}

impl KeyPlaces {
    /// Returns a remark about the table `[handler.NAME]`.
    #[must_use]
    pub fn on_handler(&self, name: &str, message: String) -> Problem {
        let key = key::Key::from_iter(["handler", name]);
        self.0.at(&key, message)
    }

    /// Returns a remark about a key in the table `[http.tls]`.
    #[must_use]
    pub fn on_tls(&self, name: &str, message: String) -> Problem {
        let key = key::Key::from_iter(["http", "tls", name]);
        self.0.at(&key, message)
    }
}

#[cfg(test)]
mod tests;
