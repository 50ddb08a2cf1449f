//! Keeps or drops Eventos by their tipo, by a value in them, or both.
//!
//! ```toml
//! [handler.filter]
//! config = { tipos = ["earthquake"], pointer = "/mag", op = ">=", value = 5.0 }
//! ```
//!
//! An Evento *matches* if its tipo is one of `tipos` and the value at `pointer` compares to `value` as `op` says
//! (`==`, `!=`, `<`, `<=`, `>`, `>=`). Without `op`, it is enough that there is a value at `pointer`. Either of the two
//! conditions may be left out. Matching Eventos pass and all others are dropped; with `action = "drop"` it is the
//! other way round. Tombstones always pass.
//!
//! The type of the value in the Evento decides how it is compared: numbers as numbers, strings as text, and all other
//! values (`true`, `null`, arrays, objects) as JSON, only for equality. An Evento without a value at `pointer` does
//! not match.

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

/// The validated settings.
struct Filter {
    action: Action,
    tipos: Option<Vec<String>>,
    condition: Option<Condition>,
}

/// A condition on the value at a pointer. Without a comparison it only has to exist.
struct Condition {
    pointer: Pointer,
    comparison: Option<(Op, String)>,
}

impl Filter {
    fn new() -> Result<Self, String> {
        let settings: Settings = config::typed()?;
        let comparison = match (settings.op, settings.value) {
            (Some(op), Some(value)) => Some((op, value)),
            (None, None) => None,
            (Some(_), None) => {
                return Err("`op` is set without `value`: set the `value` to compare to".to_owned());
            }
            (None, Some(_)) => {
                return Err(
                    "`value` is set without `op`: set an `op`, such as \"==\" or \">=\"".to_owned(),
                );
            }
        };
        let condition = match (settings.pointer, comparison) {
            (Some(pointer), comparison) => Some(Condition {
                pointer,
                comparison,
            }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(
                    "`op` is set without `pointer`: set a `pointer`, such as \"/mag\"".to_owned(),
                );
            }
        };
        if settings.tipos.is_none() && condition.is_none() {
            return Err("no condition to filter by: set `tipos`, `pointer` or both".to_owned());
        }
        let (action, tipos) = (settings.action, settings.tipos);
        Ok(Self {
            action,
            tipos,
            condition,
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
        let condition = self.condition.as_ref();
        // The tipo is checked first because the daemon has already extracted it.
        tipos.is_none_or(|tipos| tipos.iter().any(|tipo| tipo == evento.tipo()))
            && condition.is_none_or(|condition| condition.holds(evento))
    }
}

impl Condition {
    fn holds(&self, evento: &Evento) -> bool {
        let value = evento.at(&self.pointer);
        value.is_some_and(|json| match &self.comparison {
            None => true,
            Some((op, value)) => compare::holds(json, *op, value),
        })
    }
}

#[cfg(test)]
mod tests;
