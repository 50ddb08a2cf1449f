//! The chain: its order, and how an outcome changes what the next handler gets.

use std::fs;

use eventos_testkit::{Broker, Setup, handler};
use sha2::{Digest, Sha256};

use super::{Ran, TIMESTAMP, assert_says, evento, in_the_middle};
use crate::EVENTOS;

#[test]
fn handlers_run_in_the_order_of_their_file_names() {
    // What drops before the store keeps out of it, what drops after it does not.
    let eventos = in_the_middle("drop");
    let ran = Ran::new("", &eventos);
    assert_eq!(ran.stored(), ["before", "after"]);
    let after = Setup::new(EVENTOS, Broker::Embedded, &["store", "probe"], "");
    let ran = Ran::on(after, &eventos);
    assert_eq!(ran.stored(), ["before", "it", "after"]);
    assert_eq!(ran.answers("drop"), 1.0);
}

#[test]
fn the_number_before_a_name_orders_handlers_and_each_has_its_own_configuration() {
    let more = "[handler.alpha.config]\nname = \"a\"\n[handler.omega.config]\nname = \"o\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], more);
    let plugins = setup.dir.path().join("plugins");
    for name in ["30-alpha.wasm", "20-omega.wasm"] {
        fs::copy(handler("probe"), plugins.join(name)).expect("copied");
    }
    let ran = Ran::on(setup, &in_the_middle("config"));
    let letter = ran.dead_letter();
    assert_eq!(letter.header("eventos.handler"), "omega");
    let message = letter.header("__connect.errors.exception.message");
    assert_eq!(message, r#"[("name", "o")]"#);
    let passed = |handler: &str| {
        let line = format!(r#"eventos_handler_events_total{{handler="{handler}",outcome="pass"}}"#);
        ran.daemon.metric(&line)
    };
    assert_eq!(
        ["store", "omega", "alpha"].map(passed),
        [3.0, 2.0, 2.0].map(Some)
    );
}

#[test]
fn what_replaces_an_evento_goes_on_in_its_place() {
    let ran = Ran::new("", &in_the_middle("replace"));
    assert_eq!(ran.stored(), ["before", "part-1", "part-2", "after"]);
    assert_eq!(
        ran.daemon.messages("/part-2"),
        r#"{"id":"part-2","tipo":"part","of":{"id":"it","tipo":"replace"}}"#
    );
    assert_eq!(ran.answers("replace"), 1.0);

    let ran = Ran::new("", &in_the_middle("replace-none"));
    assert_eq!(ran.stored(), ["before", "after"]);
    assert!(ran.dead_letters().is_empty());

    // A tombstone holds no Evento: it passes the store by.
    let ran = Ran::new("", &in_the_middle("replace-tombstone"));
    assert_eq!(ran.stored(), ["before", "after"]);
    assert!(ran.dead_letters().is_empty());
}

#[test]
fn a_replacement_that_is_no_evento_makes_a_dead_letter_of_its_source() {
    let ran = Ran::new("", &in_the_middle("replace-junk"));
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    assert_eq!(letter.text(), evento("it", "replace-junk"));
    let message = letter.header("__connect.errors.exception.message");
    assert!(
        message.starts_with("a replacement is no Evento: malformed JSON: "),
        "{message}"
    );
    assert_says(&letter, "eventos.Invalid", message, "1");
    assert_eq!(ran.errors("invalid"), 1.0);
}

#[test]
fn a_rejected_evento_is_dead_lettered_with_the_reason_and_the_handler() {
    let ran = Ran::new("", &in_the_middle("reject"));
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    assert_says(&letter, "eventos.Reject", "it is asked to be rejected", "1");
    assert_eq!(letter.text(), evento("it", "reject"));
    assert_eq!(
        (letter.key.as_ref(), letter.timestamp),
        (None, Some(TIMESTAMP + 1))
    );
    assert_eq!(letter.header("__connect.errors.topic"), ran.setup.topic());
    assert_eq!(letter.header("__connect.errors.partition"), "0");
    assert_eq!(letter.header("__connect.errors.offset"), "1");
    assert_eq!(letter.header("__connect.errors.exception.stacktrace"), "");
    let file = fs::read(handler("probe")).expect("read");
    let digest = format!("{:x}", Sha256::digest(file));
    assert_eq!(letter.header("eventos.handler.digest"), digest);
    assert_eq!((ran.errors("reject"), ran.answers("reject")), (1.0, 1.0));
    let dead = ran
        .daemon
        .metric(r#"eventos_dead_letters_total{handler="probe"}"#);
    assert_eq!(dead, Some(1.0));
}

#[test]
fn without_the_store_in_the_folder_nothing_is_stored() {
    for handlers in [&["probe"][..], &[]] {
        let setup = Setup::new(EVENTOS, Broker::Embedded, handlers, "");
        let ran = Ran::on(setup, &in_the_middle("good"));
        assert_eq!(ran.daemon.messages(""), "[]", "{handlers:?}");
        assert!(ran.dead_letters().is_empty(), "{handlers:?}");
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
    let ran = Ran::on(setup, &eventos);
    assert_eq!(ran.stored(), ["1", "6"]);
    let dead: Vec<_> = ran
        .dead_letters()
        .iter()
        .map(|letter| letter.offset_of_source())
        .collect();
    assert_eq!(dead, [1, 3, 4]);
}
