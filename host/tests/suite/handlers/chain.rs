//! The handler chain: its order, and how the outcome of one handler changes what the next one gets.

use std::fs;

use eventos_testkit::{Broker, Setup, handler};
use sha2::{Digest, Sha256};

use super::{Fixture, TIMESTAMP, assert_reason, evento, in_the_middle};
use crate::EVENTOS;

#[test]
fn handlers_run_in_the_order_of_their_file_names() {
    // A record that is dropped before `store` is not stored; one that is dropped after it is.
    let eventos = in_the_middle("drop");
    let fixture = Fixture::new("", &eventos);
    assert_eq!(fixture.stored(), ["before", "after"]);
    let probe_last = Setup::new(EVENTOS, Broker::Embedded, &["store", "probe"], "");
    let fixture = Fixture::on(probe_last, &eventos);
    assert_eq!(fixture.stored(), ["before", "it", "after"]);
    assert_eq!(fixture.outcomes("drop"), 1.0);
}

#[test]
fn the_number_before_a_name_orders_handlers_and_each_has_its_own_configuration() {
    let toml = "[handler.alpha.config]\nname = \"a\"\n[handler.omega.config]\nname = \"o\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let plugins = setup.dir.path().join("plugins");
    for name in ["30-alpha.wasm", "20-omega.wasm"] {
        fs::copy(handler("probe"), plugins.join(name)).expect("the handler is copied");
    }
    let fixture = Fixture::on(setup, &in_the_middle("config"));
    let letter = fixture.dead_letter();
    assert_eq!(letter.header("eventos.handler"), "omega");
    let message = letter.header("__connect.errors.exception.message");
    assert_eq!(message, r#"[("name", "o")]"#);
    let passed = |handler: &str| {
        let line = format!(r#"eventos_handler_events_total{{handler="{handler}",outcome="pass"}}"#);
        fixture.daemon.metric(&line)
    };
    assert_eq!(
        ["store", "omega", "alpha"].map(passed),
        [3.0, 2.0, 2.0].map(Some)
    );
}

#[test]
fn what_replaces_an_evento_goes_on_in_its_place() {
    let fixture = Fixture::new("", &in_the_middle("replace"));
    assert_eq!(fixture.stored(), ["before", "part-1", "part-2", "after"]);
    assert_eq!(
        fixture.daemon.messages("/part-2"),
        r#"{"id":"part-2","tipo":"part","of":{"id":"it","tipo":"replace"}}"#
    );
    assert_eq!(fixture.outcomes("replace"), 1.0);

    let fixture = Fixture::new("", &in_the_middle("replace-none"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    assert!(fixture.dead_letters().is_empty());

    // A tombstone contains no Evento, so `store` does not store it.
    let fixture = Fixture::new("", &in_the_middle("replace-tombstone"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    assert!(fixture.dead_letters().is_empty());
}

#[test]
fn a_replacement_that_is_no_evento_makes_a_dead_letter_of_its_source() {
    let fixture = Fixture::new("", &in_the_middle("replace-junk"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    assert_eq!(letter.text(), evento("it", "replace-junk"));
    let message = letter.header("__connect.errors.exception.message");
    assert!(
        message.starts_with("a replacement is not a valid Evento: malformed JSON: "),
        "{message}"
    );
    assert_reason(&letter, "eventos.Invalid", message, "1");
    assert_eq!(fixture.errors("invalid"), 1.0);
}

#[test]
fn a_rejected_evento_is_dead_lettered_with_the_reason_and_the_handler() {
    let fixture = Fixture::new("", &in_the_middle("reject"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    assert_reason(&letter, "eventos.Reject", "it is asked to be rejected", "1");
    assert_eq!(letter.text(), evento("it", "reject"));
    assert_eq!(
        (letter.key.as_ref(), letter.timestamp),
        (None, Some(TIMESTAMP + 1))
    );
    assert_eq!(
        letter.header("__connect.errors.topic"),
        fixture.setup.topic()
    );
    assert_eq!(letter.header("__connect.errors.partition"), "0");
    assert_eq!(letter.header("__connect.errors.offset"), "1");
    assert_eq!(letter.header("__connect.errors.exception.stacktrace"), "");
    let file = fs::read(handler("probe")).expect("the file can be read");
    let digest = format!("{:x}", Sha256::digest(file));
    assert_eq!(letter.header("eventos.handler.digest"), digest);
    assert_eq!(
        (fixture.errors("reject"), fixture.outcomes("reject")),
        (1.0, 1.0)
    );
    let dead = fixture
        .daemon
        .metric(r#"eventos_dead_letters_total{handler="probe"}"#);
    assert_eq!(dead, Some(1.0));
}

#[test]
fn without_the_store_in_the_folder_nothing_is_stored() {
    for handlers in [&["probe"][..], &[]] {
        let setup = Setup::new(EVENTOS, Broker::Embedded, handlers, "");
        let fixture = Fixture::on(setup, &in_the_middle("good"));
        assert_eq!(fixture.daemon.messages(""), "[]", "{handlers:?}");
        assert!(fixture.dead_letters().is_empty(), "{handlers:?}");
    }
}

#[test]
fn a_handler_may_store_by_itself_but_for_what_it_rejects() {
    let setup = Setup::new(
        EVENTOS,
        Broker::Embedded,
        &["probe"],
        "[handler.probe]\nretries = 0\n",
    );
    let eventos = [
        "store",
        "store-reject",
        "good",
        "store-retry",
        "store-panic",
        "store",
    ];
    let ids = ["1", "2", "3", "4", "5", "6"];
    let eventos: Vec<String> = ids
        .iter()
        .zip(eventos)
        .map(|(id, tipo)| evento(id, tipo))
        .collect();
    let fixture = Fixture::on(setup, &eventos);
    assert_eq!(fixture.stored(), ["1", "6"]);
    let dead: Vec<_> = fixture
        .dead_letters()
        .iter()
        .map(|letter| letter.offset_of_source())
        .collect();
    assert_eq!(dead, [1, 3, 4]);
}
