//! The contract that eventos does not have: a record an Evento. The same look as in
//! `bench-columns`, so that the two can be timed side by side.

use bindings::{Evento, Guest, Outcome};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "per-record" });
    export!(Component);

    use super::Component;
}

/// The component.
pub struct Component;

impl Guest for Component {
    fn handle(eventos: Vec<Evento>) -> Vec<Outcome> {
        eventos.iter().map(look).collect()
    }
}

fn look(evento: &Evento) -> Outcome {
    let header = evento.headers.first().map(|header| &header.value[..]);
    let looked = [Some(evento.tipo.as_bytes()), Some(&evento.value), header];
    match looked.into_iter().flatten().filter_map(<[u8]>::first).min() {
        Some(b'!') => Outcome::Drop,
        _ => Outcome::Pass,
    }
}
