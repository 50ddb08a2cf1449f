//! Tests of the behaviour that the tests of the host rely on.

use eventos_sdk::{Outcome, Record, testing};

fn evento(tipo: &str) -> Record {
    Record::new(format!(r#"{{"id":7,"tipo":"{tipo}"}}"#))
}

fn outcome(record: Record) -> Outcome {
    testing::run(super::handle, [record]).outcomes.remove(0)
}

#[test]
fn what_is_seen_is_described_in_a_fixed_order() {
    let record = evento("headers")
        .key(b"k\xff\"")
        .header("a", "1")
        .null_header("a")
        .timestamp(5);
    let expected = r#"id="7"; integer=true; tipo="headers"; key="k\xff\""; value="{\"id\":7,\"tipo\":\"headers\"}"; headers=[a="1", a=null]; timestamp=Some(5); log_append_time=false; tombstone=false; topic=eventos; partition=0; offset=0"#;
    assert_eq!(outcome(record), Outcome::reject(expected));
}

#[test]
fn a_tombstone_does_what_the_setting_says() {
    assert_eq!(outcome(Record::tombstone("k")), Outcome::Pass);
    testing::set("tombstone", "drop");
    assert_eq!(outcome(Record::tombstone("k")), Outcome::Drop);
}

#[test]
fn a_replacement_keeps_what_is_around_the_value() {
    let Outcome::Replace(parts) = outcome(evento("replace").key("k").timestamp(5)) else {
        panic!("not replaced");
    };
    let value = r#"{"id":"part-2","tipo":"part","of":{"id":7,"tipo":"replace"}}"#;
    assert_eq!(
        parts[1],
        Record::new(value).key("k").header("part", "2").timestamp(5)
    );
}

#[test]
fn effects_come_before_what_follows_them() {
    testing::set("emit_to", "t");
    let run = testing::run(
        super::handle,
        ["store", "emit", "emit-reject", "log"].map(evento),
    );
    assert_eq!(
        (run.stored, run.emitted.len(), run.logged.len()),
        (vec![0], 1, 5)
    );
}

#[test]
#[should_panic(expected = "asked to panic")]
fn it_panics_when_asked() {
    outcome(evento("panic"));
}
