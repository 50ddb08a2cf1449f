//! Tests of the settings and of the Eventos that pass.

use eventos_sdk::{Outcome, Record, testing};

use super::Filter;

fn filter(settings: &[(&str, &str)]) -> Result<Filter, String> {
    for (key, value) in settings {
        testing::set(*key, *value);
    }
    Filter::new()
}

/// Returns whether an Evento with this value at `/v` passes.
fn passes(settings: &[(&str, &str)], value: &str) -> bool {
    let filter = filter(settings).expect("the settings fit");
    let evento = Record::new(format!(r#"{{"id":1,"tipo":"sismo","v":{value}}}"#));
    let run = testing::run(|evento| filter.handle(evento), [evento]);
    run.outcomes == [Outcome::Pass]
}

#[test]
fn a_value_says_how_it_is_compared() {
    for (value, op, other, holds) in [
        ("5", ">=", "5.0", true),
        ("4.9", ">=", "5", false),
        ("4.9", "<", "5", true),
        ("5", "<=", "5", true),
        ("5", ">", "5", false),
        ("10", ">", "9", true),
        ("1e400", ">", "9", true),
        ("9223372036854775808", "==", "9223372036854775808", true),
        ("9223372036854775808", "==", "9223372036854775809", false),
        ("-0.5", "==", "-5e-1", true),
        ("\"10\"", ">", "9", false),
        ("\"ml\"", "==", "ml", true),
        ("\"\\u006dl\"", "==", "ml", true),
        ("\"ml\"", "!=", "mb", true),
        ("true", "==", "true", true),
        ("true", "!=", "true", false),
        ("true", "<=", "true", true),
        ("true", ">", "false", false),
        ("null", "==", "null", true),
        ("[1, 2]", "==", "[1,2]", true),
        ("5", "==", "five", false),
        ("5", "!=", "five", true),
        ("5", "<", "five", false),
    ] {
        let settings = [("pointer", "/v"), ("op", op), ("value", other)];
        assert_eq!(passes(&settings, value), holds, "{value} {op} {other}");
    }
}

#[test]
fn tipo_and_value_both_have_to_match() {
    let both = [
        ("tipos", r#"["sismo","otro"]"#),
        ("pointer", "/v/w"),
        ("op", "=="),
        ("value", "1"),
    ];
    assert!(passes(&both, r#"{"w":1}"#));
    assert!(!passes(&both, r#"{"w":2}"#));
    assert!(!passes(&both, "1"), "there is nothing at the pointer");
    assert!(!passes(&[("tipos", r#"["otro"]"#)], r#"{"w":1}"#));
}

#[test]
fn what_matches_can_be_dropped_instead() {
    let there = [("pointer", "/v"), ("action", "drop")];
    let filter = filter(&there).expect("the settings fit");
    let records = [
        Record::new(r#"{"id":1,"tipo":"x","v":null}"#),
        Record::new(r#"{"id":1,"tipo":"x"}"#),
        Record::tombstone("1"),
    ];
    let run = testing::run(|evento| filter.handle(evento), records);
    assert_eq!(run.outcomes, [Outcome::Drop, Outcome::Pass, Outcome::Pass]);
}

#[test]
fn settings_that_say_too_little_are_refused() {
    let error = |settings: &[(&str, &str)]| filter(settings).err().expect("refused");
    assert_eq!(
        error(&[]),
        "no condition to filter by: set `tipos`, `pointer` or both"
    );
    assert_eq!(
        error(&[("op", ">=")]),
        "`op` is set without `value`: set the `value` to compare to"
    );
    assert_eq!(
        error(&[("value", "5")]),
        "`op` is set without `pointer`: set a `pointer`, such as \"/mag\""
    );
    assert_eq!(
        error(&[("pointer", "mag")]),
        r#"invalid settings: `pointer`: "mag" is not a JSON pointer: it must begin with a slash, as in "/mag""#
    );
    assert_eq!(
        error(&[("pointer", "/mag"), ("op", "=>")]),
        "invalid settings: `op`: unknown variant `=>`, expected one of `==`, `!=`, `<`, `<=`, `>`, `>=`"
    );
}
