//! What toolchains leave in is satisfied and gives nothing away; what asks for more is refused.

use std::fs;

use super::{Ran, evento};
use crate::support::{Broker, Setup, handler};

#[test]
fn python_has_clocks_random_numbers_and_print_and_nothing_else() {
    let more = "[handler.probe]\ntimeout = \"10s\"\nretries = 0\n";
    let setup = Setup::new(Broker::Embedded, &["store"], more);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler("probe-python"), probe).expect("copied");
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
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let before = jiff::Timestamp::now().as_millisecond();
    let ran = Ran::on(setup, &eventos);
    let after = jiff::Timestamp::now().as_millisecond();

    let said: Vec<_> = ran
        .dead_letters()
        .iter()
        .map(|letter| {
            letter
                .header("__connect.errors.exception.message")
                .to_owned()
        })
        .collect();
    assert_eq!(said.len(), tipos.len(), "{said:?}");
    assert_eq!(said[0], "printed");
    let clock = said[1]
        .strip_prefix("wall ")
        .and_then(|it| it.strip_suffix("; forwards True"));
    let clock: i64 = clock
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("{}", said[1]));
    assert!(
        (before..=after).contains(&clock),
        "{before} {clock} {after}"
    );
    assert_ne!(said[2], said[3]);
    assert_eq!(said[4], "0 variables, 0 arguments");
    for said in &said[5..7] {
        assert!(said.starts_with("refused: "), "{said}");
    }
    assert!(
        said[7].contains("no sockets") || said[7].starts_with("refused: "),
        "{}",
        said[7]
    );
    assert!(said[8].contains("a handler cannot sleep"), "{}", said[8]);

    let log = ran.daemon.log();
    for (level, text) in [
        ("INFO", "out of"),
        ("INFO", "Python"),
        ("WARN", "wrong in Python"),
    ] {
        let line = log
            .lines()
            .find(|line| line.contains(&format!(": {text} handler=\"probe\"")));
        let line = line.unwrap_or_else(|| panic!("{text} is not in the log"));
        assert!(
            line.contains(level) && line.contains("partition=0"),
            "{line}"
        );
    }
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
    let setup = Setup::new(Broker::Embedded, &["store"], "");
    let file = setup.dir.path().join("plugins/50-greedy.wasm");
    fs::write(file, component.expect("a component")).expect("written");
    let said = setup.refused();
    assert!(said.contains("plugins/50-greedy.wasm"), "{said}");
    let named = "it imports what no handler has: wasi:http/outgoing-handler@0.2.0, wasi:cli/stdout@0.3.0, \
                 acme:secrets/vault, plain;";
    assert!(said.contains(named), "{said}");
}
