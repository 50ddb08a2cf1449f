//! What toolchains leave in is satisfied and gives nothing away; what asks for more is refused.

use std::{fs, ops::RangeInclusive};

use eventos_testkit::{Broker, Setup, handler};

use super::{Ran, evento};
use crate::EVENTOS;

/// What came of these, in order: the probe of this language rejects each with it. And when that was, in
/// milliseconds.
fn acted(file: &str, tipos: &[&str]) -> (Ran, Vec<String>, RangeInclusive<i64>) {
    let more = "[handler.probe]\ntimeout = \"10s\"\nretries = 0\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], more);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("copied");
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let before = jiff::Timestamp::now().as_millisecond();
    let ran = Ran::on(setup, &eventos);
    let after = jiff::Timestamp::now().as_millisecond();
    let message = "__connect.errors.exception.message";
    let letters = ran.dead_letters();
    let said: Vec<_> = letters
        .iter()
        .map(|letter| letter.header(message).to_owned())
        .collect();
    assert_eq!(said.len(), tipos.len(), "{said:?}");
    (ran, said, before..=after)
}

fn assert_printed(ran: &Ran, level: &str, text: &str) {
    let wanted = format!(": {text} handler=\"probe\"");
    let log = ran.daemon.log_with(&wanted);
    let line = log.lines().find(|line| line.contains(&wanted));
    let line = line.expect("it was there");
    assert!(
        line.contains(level) && line.contains("partition=0"),
        "{line}"
    );
}

#[test]
fn javascript_has_a_clock_and_a_console() {
    let (ran, said, meanwhile) = acted("probe-js", &["js-print", "js-clock"]);
    assert_eq!(said[0], "printed");
    let clock = said[1].strip_prefix("wall ").and_then(|it| it.parse().ok());
    let clock: i64 = clock.unwrap_or_else(|| panic!("{}", said[1]));
    assert!(meanwhile.contains(&clock), "{meanwhile:?} {clock}");
    assert_printed(&ran, "INFO", "out of JavaScript");
}

#[test]
fn python_has_clocks_random_numbers_and_print_and_nothing_else() {
    let tipos = [
        "py-print",
        "py-clock",
        "py-random",
        "py-random",
        "py-environment",
        "py-files",
        "py-write",
        "py-sockets",
        "py-sleep",
    ];
    let (ran, said, meanwhile) = acted("probe-python", &tipos);
    assert_eq!(said[0], "printed");
    let clock = said[1]
        .strip_prefix("wall ")
        .and_then(|it| it.strip_suffix("; forwards True"));
    let clock: i64 = clock
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("{}", said[1]));
    assert!(meanwhile.contains(&clock), "{meanwhile:?} {clock}");
    assert_ne!(said[2], said[3]);
    assert_eq!(said[4], "PATH None, HOME None");
    // Whether Python or the host refuses, nothing is given.
    for said in &said[5..8] {
        let refused =
            said.starts_with("refused: ") || said.contains("trap") || said.contains("wasi:");
        assert!(refused, "{said}");
    }
    assert!(said[8].contains("a handler cannot sleep"), "{}", said[8]);

    assert_printed(&ran, "INFO", "out of");
    assert_printed(&ran, "INFO", "Python");
    assert_printed(&ran, "WARN", "wrong in Python");
}

#[test]
fn imports_that_no_handler_has_are_each_named() {
    let component = wat::parse_str(
        r#"(component
            (import "wasi:http/outgoing-handler@0.2.0" (instance))
            (import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result u64)))))
            (import "wasi:cli/stdout@0.3.0" (instance))
            (import "acme:secrets/vault" (instance))
            (import "plain" (func)))"#,
    );
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let file = setup.dir.path().join("plugins/50-greedy.wasm");
    fs::write(file, component.expect("a component")).expect("written");
    let said = setup.refused();
    assert!(said.contains("plugins/50-greedy.wasm"), "{said}");
    let named = "it imports interfaces that handlers cannot use: wasi:http/outgoing-handler@0.2.0, wasi:cli/stdout@0.3.0, \
                 acme:secrets/vault, plain;";
    assert!(said.contains(named), "{said}");
}
