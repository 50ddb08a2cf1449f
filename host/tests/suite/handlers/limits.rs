//! Each limit, obeyed and broken, by the same Evento under two settings.

use super::{Ran, assert_says, evento, in_the_middle};

/// One that is copied a few times when it is replaced.
fn large() -> String {
    let filling = "x".repeat(900_000);
    format!(r#"{{"id":"large","tipo":"replace","filling":"{filling}"}}"#)
}

#[test]
fn memory_that_is_enough_and_memory_that_is_not() {
    let ran = Ran::new("[handler.probe]\nmemory = \"16MiB\"\n", &[large()]);
    assert_eq!(ran.stored(), ["part-1", "part-2"]);
    assert!(ran.dead_letters().is_empty());

    let eventos = [evento("before", "good"), large(), evento("after", "good")];
    let ran = Ran::new("[handler.probe]\nmemory = \"3MiB\"\n", &eventos);
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    assert_eq!(letter.text(), large());
    let message = letter.header("__connect.errors.exception.message");
    assert!(
        message.ends_with(" bytes of memory; its limit is 3145728"),
        "{message}"
    );
    assert_says(&letter, "eventos.Memory", message, "1");
}

#[test]
fn a_handlers_own_limit_wins_over_the_default() {
    let broken = "[handlers.defaults]\nmemory = \"3MiB\"\n";
    let ran = Ran::new(broken, &[large()]);
    assert!(ran.stored().is_empty());
    let obeyed = "[handlers.defaults]\nmemory = \"3MiB\"\n[handler.probe]\nmemory = \"16MiB\"\n\
                  [handler.store]\nmemory = \"16MiB\"\n";
    let ran = Ran::new(obeyed, &[large()]);
    assert_eq!(ran.stored(), ["part-1", "part-2"]);
}

#[test]
fn time_is_given_in_full_and_not_much_more() {
    for (timeout, seconds) in [("100ms", 0.1), ("400ms", 0.4)] {
        let more = format!("[handler.probe]\ntimeout = \"{timeout}\"\n");
        let ran = Ran::new(&more, &[evento("it", "spin")]);
        let message = format!("ran longer than its limit of {timeout}");
        assert_says(&ran.dead_letter(), "eventos.Timeout", &message, "1");
        assert_eq!(ran.errors("timeout"), 1.0);
        let took = ran
            .daemon
            .metric(r#"eventos_handler_duration_seconds_sum{handler="probe"}"#)
            .expect("measured");
        // Far less than the default of a second, and with room for a busy machine.
        assert!((seconds..1.0).contains(&took), "{took} s of {timeout}");
    }
}

/// The message of the only dead letter, which is of this class; the Eventos around it are stored.
fn broken(ran: &Ran, class: &str, kind: &str) -> String {
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    let message = letter
        .header("__connect.errors.exception.message")
        .to_owned();
    assert_says(&letter, class, &message, "1");
    assert!(ran.errors(kind) >= 1.0);
    message
}

#[test]
fn output_that_is_permitted_and_output_that_is_too_much() {
    let ran = Ran::new("", &in_the_middle("replace-thousand"));
    assert_eq!(ran.stored(), ["before", "after"]);
    assert!(ran.dead_letters().is_empty());

    // What is answered is copied only as far as it may be.
    let more = "[handler.probe]\noutput = \"16KiB\"\n";
    let ran = Ran::new(more, &in_the_middle("replace-thousand"));
    let message = broken(&ran, "eventos.Output", "output");
    assert_eq!(
        message,
        "hands over more bytes at once than its limit of 16384"
    );
    let more = "[handler.probe]\nmemory = \"2GiB\"\ntimeout = \"10s\"\n";
    let ran = Ran::new(more, &in_the_middle("replace-million"));
    broken(&ran, "eventos.Output", "output");

    // What is in many small pieces is counted too.
    let more = "[handler.probe]\nproduce = [\"t\"]\nconfig = { emit_to = \"t\" }\n";
    let ran = Ran::new(more, &in_the_middle("emit-nothing"));
    let message = broken(&ran, "eventos.Output", "output");
    assert!(
        message.starts_with("answers, stores and emits 1677"),
        "{message}"
    );
    assert!(
        message.ends_with(" bytes; its limit is 16777216"),
        "{message}"
    );
}

#[test]
fn a_stack_that_is_enough_and_one_that_is_not() {
    let ran = Ran::new("", &in_the_middle("recurse-1000"));
    assert_eq!(ran.stored(), ["before", "it", "after"]);

    for (stack, bytes) in [("32KiB", 32 << 10), ("512KiB", 512 << 10)] {
        let more = format!("[handler.probe]\nstack = \"{stack}\"\n");
        let ran = Ran::new(&more, &in_the_middle("recurse-lean"));
        let message = broken(&ran, "eventos.Stack", "stack");
        assert_eq!(
            message,
            format!("recursed deeper than its stack of {bytes} bytes")
        );
    }
    let more = "[handler.probe]\nstack = \"32KiB\"\n";
    let ran = Ran::new(more, &in_the_middle("recurse-1000"));
    broken(&ran, "eventos.Stack", "stack");
}
