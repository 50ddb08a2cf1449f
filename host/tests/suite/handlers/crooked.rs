//! Invalid results that no SDK would produce. Each costs only the Evento that asked for it, and the dead letter says what is wrong.

use eventos_testkit::{Broker, ReceivedRecord, Setup};

use super::{Fixture, evento};
use crate::EVENTOS;

#[test]
fn an_answer_that_does_not_answer_the_batch_counts_for_nothing() {
    let tipos = [
        ("good", ""),
        ("fewer", "column kinds has 0 entries instead of 1"),
        ("more", "column kinds has 2 entries instead of 1"),
        ("good", ""),
        ("unknown", "outcome 0 is 9; expected 0 to 4"),
        ("no-utf8", "text 0 of reasons is not UTF-8"),
        ("no-reason", "column reasons"),
        ("good", ""),
        ("beyond", "column reasons"),
        ("record-beyond", "column "),
        ("replacements-beyond", "column "),
        ("good", ""),
    ];
    let eventos: Vec<_> = (0..)
        .zip(tipos)
        .map(|(i, (tipo, _))| evento(i, tipo))
        .collect();
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe-crooked", "store"], "");
    let fixture = Fixture::on(setup, &eventos);
    assert_eq!(fixture.stored(), ["0", "3", "7", "11"]);
    let letters = fixture.dead_letters();
    let invalid: Vec<_> = (0..)
        .zip(tipos)
        .filter(|(_, (_, why))| !why.is_empty())
        .collect();
    let offsets: Vec<_> = letters
        .iter()
        .map(ReceivedRecord::offset_of_source)
        .collect();
    assert_eq!(offsets, invalid.iter().map(|(i, _)| *i).collect::<Vec<_>>());
    for (letter, (_, (tipo, why))) in letters.iter().zip(invalid) {
        let reason = |name| letter.header(&format!("__connect.errors.exception.{name}"));
        assert_eq!(reason("class.name"), "eventos.Invalid", "{tipo}");
        let message = reason("message");
        assert!(
            message.starts_with("its answer is not valid: "),
            "{tipo}: {message}"
        );
        assert!(message.contains(why), "{tipo}: {message}");
        assert_eq!(letter.header("eventos.handler"), "probe-crooked");
    }
}
