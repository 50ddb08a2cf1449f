//! The handler's own settings: the table `[handler.NAME.config]` of the daemon's configuration.
//!
//! Strings come as they are, other values as JSON text. Settings do not change while an instance lives, and each
//! look asks the host; so what every Evento needs is best read once:
//!
//! ```
//! use std::sync::LazyLock;
//! use eventos_sdk::config;
//!
//! static TOPIC: LazyLock<String> =
//!     LazyLock::new(|| config::get("topic").unwrap_or_else(|| "alertas".to_owned()));
//! ```

use crate::host;

/// One setting; none if the key is not set.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host::config::get(key)
}

/// Every setting, by key ascending.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    host::config::all()
}
