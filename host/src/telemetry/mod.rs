//! Log lines and metrics.

pub mod capture;
mod error_chain;
pub mod log;
pub mod metrics;
pub mod readiness;

use serde::{Deserialize, Serialize};

pub(crate) use self::error_chain::in_one_line;

/// The `[telemetry]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A filter such as `info` or `warn,eventos::pipeline=debug`.
    pub log: String,
}

impl Config {
    /// Returns the invalid values: each key, relative to this table, with what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let fault = log::filter(&self.log).err();
        fault
            .map(|fault| ("log".to_owned(), fault.to_string()))
            .into_iter()
            .collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
        }
    }
}
