//! A handler that fails on one Evento of many: only that one is dead-lettered, with the reason.

use eventos_testkit::ReceivedRecord;

use super::{Fixture, assert_reason, evento};

const GOOD: usize = 200;

/// Offset of the Evento that makes the handler fail. It lies in the middle, and is not at the edge of any half.
const GUILTY: usize = 101;

/// Makes good Eventos with one in the middle that has this tipo.
fn with_a_guilty_one(tipo: &str) -> Vec<String> {
    let mut eventos: Vec<_> = (0..GOOD).map(|i| evento(i, "good")).collect();
    eventos.insert(GUILTY, evento("guilty", tipo));
    eventos
}

/// Checks that the other Eventos are stored in order, and that each passed once. Returns the dead letter.
fn assert_only_the_guilty_is_dead(fixture: &Fixture, tipo: &str, kind: &str) -> ReceivedRecord {
    let stored: Vec<_> = (0..GOOD).map(|i| i.to_string()).collect();
    assert_eq!(fixture.stored(), stored);
    assert_eq!(fixture.outcomes("pass"), 200.0);
    // The batch is halved until the Evento is alone, and only that failure counts.
    assert_eq!(fixture.errors(kind), 1.0);
    let letter = fixture.dead_letter();
    assert_eq!(letter.text(), evento("guilty", tipo));
    assert_eq!(
        letter.offset_of_source(),
        i64::try_from(GUILTY).expect("small")
    );
    letter
}

#[test]
fn a_panic_among_200_costs_one_and_tells_its_text_and_where() {
    let fixture = Fixture::new("", &with_a_guilty_one("panic"));
    let letter = assert_only_the_guilty_is_dead(&fixture, "panic", "trap");
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("asked to panic"), "{message}");
    assert!(message.contains("hostile.rs:"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    // The handler has logged it each time, but only the last time counts.
    let log = fixture.daemon.wait_for_log("asked to panic");
    assert_eq!(log.matches("asked to panic").count(), 1, "{log}");
    assert_reason(&letter, "eventos.Trap", message, "1");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::act"), "{trace}");
}

#[test]
fn an_abort_among_200_costs_one() {
    let fixture = Fixture::new("", &with_a_guilty_one("abort"));
    let letter = assert_only_the_guilty_is_dead(&fixture, "abort", "trap");
    let message = "wasm trap: wasm `unreachable` instruction executed";
    assert_reason(&letter, "eventos.Trap", message, "1");
}

#[test]
fn a_recursion_without_end_among_200_costs_one() {
    let fixture = Fixture::new("", &with_a_guilty_one("recurse"));
    // Rust keeps a stack in the memory of the module, and it overflows before that of the engine.
    let letter = assert_only_the_guilty_is_dead(&fixture, "recurse", "stack");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::recurse"), "{trace}");
    let message = "recursed deeper than the stack that it keeps in its memory";
    assert_reason(&letter, "eventos.Stack", message, "1");
}

#[test]
fn a_loop_without_end_among_200_costs_one_and_its_time() {
    let toml = "[handler.probe]\ntimeout = \"200ms\"\n";
    let fixture = Fixture::new(toml, &with_a_guilty_one("spin"));
    let letter = assert_only_the_guilty_is_dead(&fixture, "spin", "timeout");
    let message = "ran longer than its limit of 200ms";
    assert_reason(&letter, "eventos.Timeout", message, "1");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::act"), "{trace}");
}

#[test]
fn growth_without_end_among_200_costs_one() {
    let toml = "[handler.probe]\nmemory = \"16MiB\"\n";
    let fixture = Fixture::new(toml, &with_a_guilty_one("grow"));
    let letter = assert_only_the_guilty_is_dead(&fixture, "grow", "memory");
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.starts_with("asked for "), "{message}");
    assert!(
        message.ends_with(" bytes of memory; its limit is 16777216"),
        "{message}"
    );
    assert_reason(&letter, "eventos.Memory", message, "1");
}

#[test]
fn several_guilty_ones_are_all_found() {
    let tipos = ["panic", "good", "abort", "abort", "good", "reject", "panic"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let fixture = Fixture::new("", &eventos);
    assert_eq!(fixture.stored(), ["1", "4"]);
    let dead: Vec<_> = fixture
        .dead_letters()
        .iter()
        .map(ReceivedRecord::offset_of_source)
        .collect();
    assert_eq!(dead, [0, 2, 3, 5, 6]);
}
