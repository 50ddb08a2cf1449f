//! Reads the tipo and the first byte of each Evento and passes it on. An Evento of the tipo "mark" gets one more header.
//! The folders beside this one hold the same handler in C, JavaScript and Python, for `cargo xtask bench handlers`.

use eventos_sdk::{Evento, Outcome, handler};

fn handle(evento: &Evento) -> Outcome {
    let first = evento.value().and_then(<[u8]>::first);
    match (evento.tipo(), first) {
        (_, Some(b'!') | None) => Outcome::Drop,
        ("mark", _) => Outcome::replace([evento.to_record().header("seen-by", "bench")]),
        _ => Outcome::Pass,
    }
}

handler!(handle);

#[cfg(test)]
mod tests {
    use eventos_sdk::{Outcome, Record, testing};

    #[test]
    fn only_what_is_to_be_marked_changes() {
        let evento = |tipo: &str| Record::new(format!(r#"{{"id":1,"tipo":"{tipo}"}}"#)).key("k");
        let records = [evento("look"), evento("mark"), Record::tombstone("k")];
        let run = testing::run(super::handle, records);
        let marked = Outcome::replace([evento("mark").header("seen-by", "bench")]);
        assert_eq!(run.outcomes, [Outcome::Pass, marked, Outcome::Drop]);
    }
}
