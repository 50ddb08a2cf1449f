//! Mistakes of authors in languages without static types: the SDK refuses each where it is made, and the dead letter says what it is.

use std::fs;

use eventos_testkit::{Broker, Setup, handler};

use super::{Fixture, evento};
use crate::EVENTOS;

/// Has the probe of one language make mistakes, each of which has to become a dead letter with a message that contains this text, and
/// then handle one more Evento.
fn check(file: &str, mistakes: &[(&str, &str)], author: &str) -> Fixture {
    let toml = "[handler.probe]\ntimeout = \"10s\"\nproduce = [\"t\"]\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("the handler is copied");
    let tipos = mistakes.iter().map(|(tipo, _)| *tipo).chain(["good"]);
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let fixture = Fixture::on(setup, &eventos);
    assert_eq!(fixture.stored(), [mistakes.len().to_string()]);

    let letters = fixture.dead_letters();
    assert_eq!(letters.len(), mistakes.len());
    let log = fixture.daemon.wait_for_log("no luck");
    for ((offset, letter), (tipo, text)) in (0..).zip(&letters).zip(mistakes) {
        assert_eq!(letter.offset_of_source(), offset);
        let message = letter.header("__connect.errors.exception.message");
        let class = letter.header("__connect.errors.exception.class.name");
        assert!(message.contains(text), "{tipo}: {message}");
        assert!(!message.contains('\n'), "{tipo}: {message}");
        if *tipo == "mistake-log" {
            assert_eq!(class, "eventos.Reject", "{message}");
            continue;
        }
        assert_eq!(class, "eventos.Trap", "{message}");
        assert!(message.contains(author), "{tipo}: {message}");
        let offset = format!("offset={offset}");
        let says = |line: &&str| line.contains(text) && line.contains(&offset);
        assert_eq!(log.lines().filter(says).count(), 1, "{tipo}: {log}");
    }
    assert!(!log.contains("RUST_BACKTRACE"), "{log}");
    // One line says what is wrong, and two are from the runtime.
    let lines = log
        .lines()
        .filter(|line| line.contains("handler=\"probe\""));
    assert!(lines.count() <= 3 * mistakes.len() + 10, "{log}");
    assert_eq!(fixture.errors("trap"), (mistakes.len() - 1) as f64);
    fixture
}

#[test]
fn a_mistake_in_javascript_costs_one_evento_and_is_named() {
    let mistakes = [
        ("mistake-text", "records[0] is the string"),
        ("mistake-record", "replace takes an array of records"),
        ("mistake-key", "records[0] has no member `value`"),
        ("mistake-emit", "the record has the member `id`"),
        ("mistake-headers", "headers[0] is the array"),
        ("mistake-timestamp", "timestamp is the number NaN"),
        ("mistake-date", "timestamp is a Date"),
        ("mistake-reason", "not the object {why: \"no luck\"}"),
        ("mistake-lines", "no luck"),
        ("mistake-log", "RangeError: no luck"),
    ];
    let fixture = check("probe-js", &mistakes, "mistakes.js:");
    fixture.daemon.wait_for_log(": {a: [1]} handler");
    fixture.daemon.wait_for_log(": \u{fffd} handler");
}

#[test]
fn a_mistake_in_python_costs_one_evento_and_is_named() {
    let mistakes = [
        ("mistake-dict", "TypeError: not a Record, but dict: "),
        ("mistake-text", "TypeError: Replace takes a list of Records"),
        ("mistake-emit", "TypeError: not a Record, but dict: "),
        (
            "mistake-reason",
            "TypeError: Reject takes the reason as str",
        ),
        ("mistake-timestamp", "TypeError: the timestamp of a record"),
        ("mistake-headers", "TypeError: a header of a record"),
        ("mistake-exit", "SystemExit: no luck"),
        ("mistake-lines", "RuntimeError: no luck"),
        ("mistake-log", "ValueError: no luck"),
    ];
    let fixture = check("probe-python", &mistakes, "mistakes.py:");
    fixture.daemon.wait_for_log(": 5 handler");
    fixture.daemon.wait_for_log(": \\ud800 handler");
}
