//! The default handler. Without it in the handler chain, nothing is stored.

use eventos_sdk::{Evento, Outcome, handler, store};

/// Appends every Evento to the store and passes it on. A tombstone has no Evento to store and just passes.
fn handle(evento: &Evento) -> Outcome {
    store::append(evento);
    Outcome::Pass
}

handler!(handle);

#[cfg(test)]
mod tests {
    use eventos_sdk::{Outcome, Record, testing};

    #[test]
    fn eventos_are_stored_and_everything_passes() {
        let sismo = |id| Record::new(format!(r#"{{"id":{id},"tipo":"sismo"}}"#));
        let records = [sismo(1), Record::tombstone("1"), sismo(2)];
        let run = testing::run(super::handle, records);
        assert_eq!(run.stored, [0, 2]);
        assert_eq!(run.outcomes, [Outcome::Pass, Outcome::Pass, Outcome::Pass]);
    }
}
