//! Each limit is obeyed and broken, mostly by the same Evento with two settings.

use super::{Fixture, assert_reason, evento, in_the_middle};

/// Makes an Evento that the handler copies a few times.
fn large() -> String {
    let filling = "x".repeat(900_000);
    format!(r#"{{"id":"large","tipo":"replace","filling":"{filling}"}}"#)
}

#[test]
fn memory_that_is_enough_and_memory_that_is_not() {
    let fixture = Fixture::new("[handler.probe]\nmemory = \"16MiB\"\n", &[large()]);
    assert_eq!(fixture.stored(), ["part-1", "part-2"]);
    assert!(fixture.dead_letters().is_empty());

    let eventos = [evento("before", "good"), large(), evento("after", "good")];
    let fixture = Fixture::new("[handler.probe]\nmemory = \"3MiB\"\n", &eventos);
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    assert_eq!(letter.text(), large());
    let message = letter.header("__connect.errors.exception.message");
    assert!(
        message.ends_with(" bytes of memory; its limit is 3145728"),
        "{message}"
    );
    assert_reason(&letter, "eventos.Memory", message, "1");
}

#[test]
fn an_instance_that_has_filled_its_memory_costs_no_evento() {
    let toml = "[handler.probe]\nmemory = \"8MiB\"\n";
    let setup = super::probe_setup("memory = \"8MiB\"");
    let daemon = setup.start();
    // One by one, so that the call that reaches the limit has a single Evento.
    for i in 0..30 {
        super::send_to(&setup, &daemon, 0, &[evento(i, "leak")]);
        daemon.wait_for_consumed(i + 1);
    }
    let fixture = Fixture { setup, daemon };
    assert_eq!(fixture.stored().len(), 30);
    assert!(fixture.dead_letters().is_empty());
    assert_eq!(fixture.errors("memory"), 0.0);

    // Together they need more than a new instance has, too: they are handled in parts.
    let eventos: Vec<_> = (0..30).map(|i| evento(i, "leak")).collect();
    let fixture = Fixture::new(toml, &eventos);
    assert_eq!(fixture.stored().len(), 30);
    assert!(fixture.dead_letters().is_empty());
}

#[test]
fn a_handlers_own_limit_wins_over_the_default() {
    let broken = "[handlers.defaults]\nmemory = \"3MiB\"\n";
    let fixture = Fixture::new(broken, &[large()]);
    assert!(fixture.stored().is_empty());
    let obeyed = "[handlers.defaults]\nmemory = \"3MiB\"\n[handler.probe]\nmemory = \"16MiB\"\n\
                  [handler.store]\nmemory = \"16MiB\"\n";
    let fixture = Fixture::new(obeyed, &[large()]);
    assert_eq!(fixture.stored(), ["part-1", "part-2"]);
}

#[test]
fn time_is_given_in_full_and_no_more_than_the_handlers_own() {
    for (timeout, seconds) in [("100ms", 0.1), ("400ms", 0.4)] {
        // With the default alone, the Evento would still be running when the test gives up waiting.
        let toml = format!(
            "[handlers.defaults]\ntimeout = \"1h\"\n[handler.probe]\ntimeout = \"{timeout}\"\n"
        );
        let fixture = Fixture::new(&toml, &[evento("it", "spin")]);
        let message = format!("ran longer than its limit of {timeout}");
        assert_reason(&fixture.dead_letter(), "eventos.Timeout", &message, "1");
        assert_eq!(fixture.errors("timeout"), 1.0);
        let took = fixture
            .daemon
            .metric(r#"eventos_handler_duration_seconds_sum{handler="probe"}"#)
            .expect("the metric");
        assert!(took >= seconds, "{took} s of {timeout}");
    }
}

/// Checks that the Evento in the middle is dead-lettered for this class of failure, and that the others are stored. Returns the message.
fn failure_message(fixture: &Fixture, class: &str, kind: &str) -> String {
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    let message = letter
        .header("__connect.errors.exception.message")
        .to_owned();
    assert_reason(&letter, class, &message, "1");
    assert!(fixture.errors(kind) >= 1.0);
    message
}

#[test]
fn output_that_is_permitted_and_output_that_is_too_much() {
    let fixture = Fixture::new("", &in_the_middle("replace-thousand"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    assert!(fixture.dead_letters().is_empty());

    // An answer is copied only up to the limit.
    let toml = "[handler.probe]\noutput = \"16KiB\"\n";
    let fixture = Fixture::new(toml, &in_the_middle("replace-thousand"));
    let message = failure_message(&fixture, "eventos.Output", "output");
    assert_eq!(
        message,
        "hands over more bytes at once than its limit of 16384"
    );
    let toml = "[handler.probe]\nmemory = \"2GiB\"\ntimeout = \"10s\"\n";
    let fixture = Fixture::new(toml, &in_the_middle("replace-million"));
    failure_message(&fixture, "eventos.Output", "output");

    // Many small pieces count together.
    let toml = "[handler.probe]\nproduce = [\"t\"]\nconfig = { emit_to = \"t\" }\n";
    let fixture = Fixture::new(toml, &in_the_middle("emit-nothing"));
    let message = failure_message(&fixture, "eventos.Output", "output");
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
    let fixture = Fixture::new("", &in_the_middle("recurse-1000"));
    assert_eq!(fixture.stored(), ["before", "it", "after"]);

    for (stack, bytes) in [("32KiB", 32 << 10), ("512KiB", 512 << 10)] {
        let toml = format!("[handler.probe]\nstack = \"{stack}\"\n");
        let fixture = Fixture::new(&toml, &in_the_middle("recurse-lean"));
        let message = failure_message(&fixture, "eventos.Stack", "stack");
        assert_eq!(
            message,
            format!("recursed deeper than its stack of {bytes} bytes")
        );
    }
    let toml = "[handler.probe]\nstack = \"32KiB\"\n";
    let fixture = Fixture::new(toml, &in_the_middle("recurse-1000"));
    failure_message(&fixture, "eventos.Stack", "stack");
}
