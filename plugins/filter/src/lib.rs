//! Keeps or drops Eventos by their tipo, by a value in them, or by both.
//!
//! ```toml
//! [handler.filter]
//! config = { tipos = ["earthquake"], pointer = "/mag", op = ">=", value = 5.0 }
//! ```
//!
//! An Evento *matches* if its tipo is one of `tipos`, and if the value at `pointer` compares to `value` as `op` says
//! (`==`, `!=`, `<`, `<=`, `>`, `>=`); without `op` it is enough that there is one. Either of the two may be left
//! out. What matches goes on and the rest is dropped; with `action = "drop"` it is the other way round. Tombstones
//! go on.
//!
//! The value in the Evento says how it is compared: a number as a number, a string as text, and `true`, `null` and
//! all else as JSON, for equality alone. Where there is nothing at `pointer`, nothing matches.

mod compare;

use eventos_sdk::{Evento, Outcome, Pointer, config, handler};
use serde::Deserialize;

use compare::Op;

handler!(Filter::handle, state = Filter::new);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    action: Action,
    tipos: Option<Vec<String>>,
    pointer: Option<Pointer>,
    op: Option<Op>,
    value: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Keep,
    Drop,
}

/// What was read of the settings, and holds together.
struct Filter {
    action: Action,
    tipos: Option<Vec<String>>,
    found: Option<Found>,
}

/// A value has to be at the pointer, and to compare.
struct Found {
    pointer: Pointer,
    compared: Option<(Op, String)>,
}

impl Filter {
    fn new() -> Result<Self, String> {
        let settings: Settings = config::typed()?;
        let compared = match (settings.op, settings.value) {
            (Some(op), Some(value)) => Some((op, value)),
            (None, None) => None,
            (Some(_), None) => return Err("`op` needs a `value` to compare to".to_owned()),
            (None, Some(_)) => {
                return Err("`value` needs an `op`, such as \"==\" or \">=\"".to_owned());
            }
        };
        let found = match (settings.pointer, compared) {
            (Some(pointer), compared) => Some(Found { pointer, compared }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err("`op` needs a `pointer`, such as \"/mag\"".to_owned());
            }
        };
        if settings.tipos.is_none() && found.is_none() {
            return Err("there is nothing to filter by: set `tipos`, `pointer` or both".to_owned());
        }
        let (action, tipos) = (settings.action, settings.tipos);
        Ok(Self {
            action,
            tipos,
            found,
        })
    }

    fn handle(&self, evento: &Evento) -> Outcome {
        if evento.is_tombstone() || self.matches(evento) == (self.action == Action::Keep) {
            Outcome::Pass
        } else {
            Outcome::Drop
        }
    }

    fn matches(&self, evento: &Evento) -> bool {
        let tipos = self.tipos.as_ref();
        // The tipo first, for it costs nothing to look at.
        tipos.is_none_or(|tipos| tipos.iter().any(|tipo| tipo == evento.tipo()))
            && self.found.as_ref().is_none_or(|found| found.is_in(evento))
    }
}

impl Found {
    fn is_in(&self, evento: &Evento) -> bool {
        let found = evento.at(&self.pointer);
        found.is_some_and(|json| match &self.compared {
            None => true,
            Some((op, value)) => compare::holds(json, *op, value),
        })
    }
}

#[cfg(test)]
mod tests;
