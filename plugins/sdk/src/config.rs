//! The handler's own settings: the table `[handler.NAME.config]` of the daemon's configuration.
//!
//! Settings do not change while an instance lives, and each read is a call to the host. Read the settings once, into
//! a type with one field per key:
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, config, handler};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct ByTipo {
//!     tipos: Vec<String>,
//!     #[serde(default)]
//!     invert: bool,
//! }
//!
//! impl ByTipo {
//!     fn handle(&self, evento: &Evento) -> Outcome {
//!         let is_listed = self.tipos.iter().any(|tipo| tipo == evento.tipo());
//!         if is_listed != self.invert { Outcome::Pass } else { Outcome::Drop }
//!     }
//! }
//!
//! handler!(ByTipo::handle, state = config::typed);
//! # fn main() {}
//! ```

use serde::de::DeserializeOwned;

use crate::{host, settings};

/// Reads all settings into a struct or a map.
///
/// A `String`, a `char` or an enum variant takes the text of the setting as it is. Every other type is parsed from
/// JSON. A field that accepts any type takes the text as it is if it is not valid JSON. A field of type `Option` or
/// with `#[serde(default)]` may be missing; with `#[serde(deny_unknown_fields)]` an unknown key is an error.
///
/// # Errors
/// Returns a text that names the setting and what was expected. `init` can return it unchanged.
pub fn typed<T: DeserializeOwned>() -> Result<T, String> {
    settings::read(&all())
}

/// Returns one setting: a string as it is, any other value as JSON text. Returns `None` if the key is not set.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host::config::get(key)
}

/// Returns all settings in ascending order of their keys, with values as [`get`] returns them.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    host::config::all()
}
