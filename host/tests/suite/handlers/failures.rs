//! A handler that fails on one Evento of many: only that one is dead, and it tells why.

use eventos_testkit::Received;

use super::{Ran, assert_says, evento};

const GOOD: usize = 200;

/// Where the guilty one is: in the middle, at the edge of nothing that is halved.
const GUILTY: usize = 101;

fn with_a_guilty_one(tipo: &str) -> Vec<String> {
    let mut eventos: Vec<_> = (0..GOOD).map(|i| evento(i, "good")).collect();
    eventos.insert(GUILTY, evento("guilty", tipo));
    eventos
}

/// The others are stored, in order, and each was answered once; answers the dead letter.
fn assert_only_the_guilty_is_dead(ran: &Ran, tipo: &str, kind: &str) -> Received {
    let stored: Vec<_> = (0..GOOD).map(|i| i.to_string()).collect();
    assert_eq!(ran.stored(), stored);
    assert_eq!(ran.answers("pass"), 200.0);
    // Halving: it fails alone, and before that in a batch with others.
    assert!(ran.errors(kind) > 1.0, "{}", ran.errors(kind));
    let letter = ran.dead_letter();
    assert_eq!(letter.text(), evento("guilty", tipo));
    assert_eq!(
        letter.offset_of_source(),
        i64::try_from(GUILTY).expect("small")
    );
    letter
}

#[test]
fn a_panic_among_200_costs_one_and_tells_its_text_and_where() {
    let ran = Ran::new("", &with_a_guilty_one("panic"));
    let letter = assert_only_the_guilty_is_dead(&ran, "panic", "trap");
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("asked to panic"), "{message}");
    assert!(message.contains("hostile.rs:"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    assert_says(&letter, "eventos.Trap", message, "1");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::act"), "{trace}");
}

#[test]
fn an_abort_among_200_costs_one() {
    let ran = Ran::new("", &with_a_guilty_one("abort"));
    let letter = assert_only_the_guilty_is_dead(&ran, "abort", "trap");
    let message = "wasm trap: wasm `unreachable` instruction executed";
    assert_says(&letter, "eventos.Trap", message, "1");
}

#[test]
fn a_recursion_without_end_among_200_costs_one() {
    let ran = Ran::new("", &with_a_guilty_one("recurse"));
    // The stack of its own that Rust keeps in memory ends before that of the engine.
    let letter = assert_only_the_guilty_is_dead(&ran, "recurse", "stack");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::recurse"), "{trace}");
    let message = "recursed deeper than the stack that it keeps in its memory";
    assert_says(&letter, "eventos.Stack", message, "1");
}

#[test]
fn a_loop_without_end_among_200_costs_one_and_its_time() {
    let more = "[handler.probe]\ntimeout = \"200ms\"\n";
    let ran = Ran::new(more, &with_a_guilty_one("spin"));
    let letter = assert_only_the_guilty_is_dead(&ran, "spin", "timeout");
    let message = "ran longer than its limit of 200ms";
    assert_says(&letter, "eventos.Timeout", message, "1");
    let trace = letter.header("__connect.errors.exception.stacktrace");
    assert!(trace.contains("probe::hostile::act"), "{trace}");
}

#[test]
fn growth_without_end_among_200_costs_one() {
    let more = "[handler.probe]\nmemory = \"16MiB\"\n";
    let ran = Ran::new(more, &with_a_guilty_one("grow"));
    let letter = assert_only_the_guilty_is_dead(&ran, "grow", "memory");
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.starts_with("asked for "), "{message}");
    assert!(
        message.ends_with(" bytes of memory; its limit is 16777216"),
        "{message}"
    );
    assert_says(&letter, "eventos.Memory", message, "1");
}

#[test]
fn several_guilty_ones_are_all_found() {
    let tipos = ["panic", "good", "abort", "abort", "good", "reject", "panic"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let ran = Ran::new("", &eventos);
    assert_eq!(ran.stored(), ["1", "4"]);
    let dead: Vec<_> = ran
        .dead_letters()
        .iter()
        .map(Received::offset_of_source)
        .collect();
    assert_eq!(dead, [0, 2, 3, 5, 6]);
}
