//! What the daemon says of itself: log lines and metrics.

pub mod metrics;

use serde::{Deserialize, Serialize};

/// The `[telemetry]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A filter such as `info` or `warn,eventos::pipeline=debug`.
    pub log: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
        }
    }
}
