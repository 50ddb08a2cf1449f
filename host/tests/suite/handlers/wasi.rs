//! WASI imports that toolchains leave in a component: they work and reveal nothing about the host. Components with other imports are
//! refused.

use std::{fs, ops::RangeInclusive};

use eventos_testkit::{Broker, Setup, handler};

use super::{Fixture, evento, refusal};
use crate::EVENTOS;

/// Has the probe of one language handle Eventos with these tipos, each of which it rejects with a result. Returns the results, in order,
/// and the time during which they were handled, in milliseconds.
fn results(file: &str, tipos: &[&str]) -> (Fixture, Vec<String>, RangeInclusive<i64>) {
    let toml = "[handler.probe]\ntimeout = \"10s\"\nretries = 0\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("the handler is copied");
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let before = jiff::Timestamp::now().as_millisecond();
    let fixture = Fixture::on(setup, &eventos);
    let after = jiff::Timestamp::now().as_millisecond();
    let message = "__connect.errors.exception.message";
    let letters = fixture.dead_letters();
    let results: Vec<_> = letters
        .iter()
        .map(|letter| letter.header(message).to_owned())
        .collect();
    assert_eq!(results.len(), tipos.len(), "{results:?}");
    (fixture, results, before..=after)
}

/// Checks that the log has a line with this text from the handler.
fn assert_printed(fixture: &Fixture, level: &str, text: &str) {
    let expected = format!(": {text} handler=\"probe\"");
    let log = fixture.daemon.wait_for_log(&expected);
    let line = log.lines().find(|line| line.contains(&expected));
    let line = line.expect("the line");
    assert!(
        line.contains(level) && line.contains("partition=0"),
        "{line}"
    );
}

#[test]
fn javascript_has_a_clock_and_a_console() {
    let (fixture, results, time) = results("probe-js", &["js-print", "js-clock"]);
    assert_eq!(results[0], "printed");
    let clock = results[1]
        .strip_prefix("wall ")
        .and_then(|it| it.parse().ok());
    let clock: i64 = clock.unwrap_or_else(|| panic!("{}", results[1]));
    assert!(time.contains(&clock), "{time:?} {clock}");
    assert_printed(&fixture, "INFO", "out of JavaScript");
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
        "py-library",
    ];
    let (fixture, results, time) = results("probe-python", &tipos);
    assert_eq!(results[0], "printed");
    let clock = results[1]
        .strip_prefix("wall ")
        .and_then(|it| it.strip_suffix("; forwards True"));
    let clock: i64 = clock
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("{}", results[1]));
    assert!(time.contains(&clock), "{time:?} {clock}");
    assert_ne!(results[2], results[3]);
    assert_eq!(results[4], "PATH None, HOME None");
    // Either Python or the host refuses.
    for result in &results[5..8] {
        let refused =
            result.starts_with("refused: ") || result.contains("trap") || result.contains("wasi:");
        assert!(refused, "{result}");
    }
    assert!(
        results[8].contains("a handler cannot sleep"),
        "{}",
        results[8]
    );

    let library =
        "2026-11-30T00:00:00-05:00 2026-11-30T00:00:00+01:00 e980 e900 xn--9ca late and later";
    assert_eq!(results[9], library);

    assert_printed(&fixture, "INFO", "out of");
    assert_printed(&fixture, "INFO", "Python");
    assert_printed(&fixture, "WARN", "wrong in Python");
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
    fs::write(file, component.expect("a component")).expect("the file is written");
    let log = refusal(&setup);
    assert!(log.contains("plugins/50-greedy.wasm"), "{log}");
    let error = "it imports interfaces that handlers cannot use: wasi:http/outgoing-handler@0.2.0, wasi:cli/stdout@0.3.0, \
                 acme:secrets/vault, plain;";
    assert!(log.contains(error), "{log}");
}
