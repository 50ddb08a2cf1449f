//! Each limit, obeyed and broken, by the same Evento under two settings.

use super::{Ran, assert_says, evento};

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
