//! The handler's own settings: the table `[handler.NAME.config]` of the daemon's configuration.
//!
//! Settings do not change while an instance lives, and each look asks the host. So what every Evento needs is best
//! read once, into a type whose name for a key is the key:
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, config, handler};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Strong {
//!     least: f64,
//!     #[serde(default)]
//!     tipos: Vec<String>,
//! }
//!
//! impl Strong {
//!     fn handle(&self, evento: &Evento) -> Outcome {
//!         let of_interest = self.tipos.iter().any(|tipo| tipo == evento.tipo());
//!         if of_interest { Outcome::Pass } else { Outcome::Drop }
//!     }
//! }
//!
//! handler!(Strong::handle, state = config::typed);
//! # fn main() {}
//! ```

use serde::de::DeserializeOwned;

use crate::{host, settings};

/// Every setting, as a struct or a map.
///
/// A text, a `char` or a name of an enum takes what stands in the configuration, and so does anything that asks for
/// no type and is not JSON; everything else is read as JSON. An `Option` or `#[serde(default)]` may be missing;
/// with `#[serde(deny_unknown_fields)]` a key that is not known is an error.
///
/// # Errors
/// A text that names the setting and says what was expected, fit for `init` to answer.
pub fn typed<T: DeserializeOwned>() -> Result<T, String> {
    settings::read(&all())
}

/// One setting: a string as it is, another value as JSON text; none if the key is not set.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host::config::get(key)
}

/// Every setting as [`get`] has it, by key ascending.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    host::config::all()
}
