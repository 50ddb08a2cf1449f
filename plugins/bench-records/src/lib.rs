//! A handler for a contract that eventos does not use: one WIT record per Evento. It reads the same fields as
//! `bench-columns`, so that the boundary bench can compare the two.

use bindings::{Evento, Guest, Outcome};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "per-record" });
    export!(Component);

    use super::Component;
}

/// Component that is benchmarked.
pub struct Component;

impl Guest for Component {
    fn handle(eventos: Vec<Evento>) -> Vec<Outcome> {
        eventos.iter().map(outcome).collect()
    }
}

fn outcome(evento: &Evento) -> Outcome {
    let header = evento.headers.first().map(|header| &header.value[..]);
    let fields = [Some(evento.tipo.as_bytes()), Some(&evento.value), header];
    match fields.into_iter().flatten().filter_map(<[u8]>::first).min() {
        Some(b'!') => Outcome::Drop,
        _ => Outcome::Pass,
    }
}
