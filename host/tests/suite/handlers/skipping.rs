//! Retrying, and `on_error` at "retry" and "skip".

use super::{Ran, assert_says, evento, in_the_middle};

#[test]
fn what_is_to_be_retried_is_given_up_after_as_many_retries_as_are_set() {
    let ran = Ran::new("[handler.probe]\nretries = 2\n", &in_the_middle("retry"));
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    assert_says(&letter, "eventos.Retry", "it is asked to be retried", "3");
    assert_eq!((ran.answers("retry"), ran.answers("pass")), (3.0, 2.0));
}

#[test]
fn without_retries_it_is_given_up_at_once() {
    let ran = Ran::new("[handler.probe]\nretries = 0\n", &in_the_middle("retry"));
    assert_says(
        &ran.dead_letter(),
        "eventos.Retry",
        "it is asked to be retried",
        "1",
    );
    assert_eq!(ran.answers("retry"), 1.0);
}

#[test]
fn with_skip_failures_are_left_out_and_told_to_the_log() {
    let more = "[handler.probe]\non_error = \"skip\"\nretries = 0\n";
    let tipos = ["good", "panic", "retry", "replace-junk", "reject", "good"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let ran = Ran::new(more, &eventos);
    assert_eq!(ran.stored(), ["0", "5"]);
    // To reject is no failure: it is what the handler wants.
    let letter = ran.dead_letter();
    assert_says(&letter, "eventos.Reject", "4 is asked to be rejected", "1");
    let log = ran.daemon.log_with("a replacement is no Evento");
    let skipped: Vec<_> = log
        .lines()
        .filter(|line| line.contains("record skipped"))
        .collect();
    assert_eq!(skipped.len(), 3, "{log}");
    for (line, (offset, reason)) in skipped.iter().zip([
        (1, "asked to panic"),
        (2, "2 is asked to be retried"),
        (3, "a replacement is no Evento"),
    ]) {
        assert!(line.contains("handler=\"probe\""), "{line}");
        assert!(line.contains(&format!("offset={offset}")), "{line}");
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn with_retry_failures_are_handed_in_again_before_they_are_dead() {
    let more = "[handler.probe]\non_error = \"retry\"\nretries = 2\n";
    let ran = Ran::new(more, &in_the_middle("panic"));
    assert_eq!(ran.stored(), ["before", "after"]);
    let letter = ran.dead_letter();
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("asked to panic"), "{message}");
    assert_says(&letter, "eventos.Trap", message, "3");
    // Twice in company, before it was alone; then three times.
    assert_eq!(ran.errors("trap"), 5.0);
}
