//! Reads the tipo, the value and a header of each Evento. There is almost no logic, so that the bench measures
//! the cost of crossing the boundary.

use eventos_sdk::{Evento, Outcome, handler};

fn handle(evento: &Evento) -> Outcome {
    let header = evento.headers().next().and_then(|header| header.value);
    let fields = [Some(evento.tipo().as_bytes()), evento.value(), header];
    match fields.into_iter().flatten().filter_map(<[u8]>::first).min() {
        Some(b'!') => Outcome::Drop,
        _ => Outcome::Pass,
    }
}

handler!(handle);
