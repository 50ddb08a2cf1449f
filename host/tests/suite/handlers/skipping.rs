//! Retries, and `on_error = "retry"` and `on_error = "skip"`.

use super::{Fixture, assert_reason, evento, in_the_middle};

#[test]
fn what_is_to_be_retried_is_given_up_after_as_many_retries_as_are_set() {
    let fixture = Fixture::new("[handler.probe]\nretries = 2\n", &in_the_middle("retry"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    assert_reason(&letter, "eventos.Retry", "it is asked to be retried", "3");
    assert_eq!(
        (fixture.outcomes("retry"), fixture.outcomes("pass")),
        (3.0, 2.0)
    );
}

#[test]
fn without_retries_it_is_given_up_at_once() {
    let fixture = Fixture::new("[handler.probe]\nretries = 0\n", &in_the_middle("retry"));
    assert_reason(
        &fixture.dead_letter(),
        "eventos.Retry",
        "it is asked to be retried",
        "1",
    );
    assert_eq!(fixture.outcomes("retry"), 1.0);
}

#[test]
fn with_skip_failures_are_left_out_and_told_to_the_log() {
    let toml = "[handler.probe]\non_error = \"skip\"\nretries = 0\n";
    let tipos = ["good", "panic", "retry", "replace-junk", "reject", "good"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let fixture = Fixture::new(toml, &eventos);
    assert_eq!(fixture.stored(), ["0", "5"]);
    // A rejection is not a failure, so `on_error` does not apply.
    let letter = fixture.dead_letter();
    assert_reason(&letter, "eventos.Reject", "4 is asked to be rejected", "1");
    let log = fixture
        .daemon
        .wait_for_log("a replacement is not a valid Evento");
    let skipped: Vec<_> = log
        .lines()
        .filter(|line| line.contains("record skipped"))
        .collect();
    assert_eq!(skipped.len(), 3, "{log}");
    for (line, (offset, reason)) in skipped.iter().zip([
        (1, "asked to panic"),
        (2, "2 is asked to be retried"),
        (3, "a replacement is not a valid Evento"),
    ]) {
        assert!(line.contains("handler=\"probe\""), "{line}");
        assert!(line.contains(&format!("offset={offset}")), "{line}");
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn with_retry_failures_are_handed_in_again_before_they_are_dead() {
    let toml = "[handler.probe]\non_error = \"retry\"\nretries = 2\n";
    let fixture = Fixture::new(toml, &in_the_middle("panic"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("asked to panic"), "{message}");
    assert_reason(&letter, "eventos.Trap", message, "3");
    // It also fails in two larger batches, which do not count.
    assert_eq!(fixture.errors("trap"), 3.0);
}
