//! `eventos dead-letters` on the command line.

use eventos_testkit::{json_lines, run_subcommand};

use super::*;
use crate::EVENTOS;

fn run_dead_letters(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    run_subcommand(EVENTOS, "dead-letters", url, arguments)
}

#[test]
fn letters_are_listed_and_redriven_from_the_command_line_with_the_broker_inside() {
    letters_are_listed_and_redriven_from_the_command_line(Broker::Embedded);
}

#[test]
fn letters_are_listed_and_redriven_from_the_command_line_with_kafka() {
    letters_are_listed_and_redriven_from_the_command_line(Broker::Kafka);
}

fn letters_are_listed_and_redriven_from_the_command_line(broker: Broker) {
    let fixture = Fixture::new(broker);
    let (a, b) = (rejected("a"), rejected("b\\u001b[31m"));
    fixture.produce(&[a.as_bytes(), b.as_bytes(), b"junk"], 3);
    let url = fixture.daemon.url("");
    let run = |arguments: &[&str]| {
        let (code, out, err) = run_dead_letters(&url, arguments);
        assert_eq!(code, Some(0), "{err}");
        (out, err)
    };

    let (table, said) = run(&["list", "--handler", "probe"]);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].starts_with("LETTER "), "{table}");
    assert!(table.contains("a is asked to be rejected"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");
    assert_eq!(said, "2 listed\n");
    let (json, _) = run(&["list", "--json", "--since", "2023-11-14T22:13:20.002Z"]);
    let letters = json_lines(&json);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["value"], "junk");
    let (one, said) = run(&["list", "--limit", "1"]);
    assert_eq!(one.lines().count(), 2);
    let cursor = said.trim().strip_prefix("1 listed; continue with --after ");
    let (rest, _) = run(&["list", "--json", "--after", cursor.expect("a cursor")]);
    assert_eq!(rest.lines().count(), 2);

    let (out, said) = run(&["redrive", "--handler", "probe", "--dry-run"]);
    assert_eq!(out.matches("would be redriven to partition 0").count(), 2);
    assert_eq!(said, "2 would be redriven, 0 skipped, 0 failed\n");
    fixture.remove_probe();
    let (out, said) = run(&["redrive", "--handler", "probe", "--json"]);
    assert_eq!(out.lines().count(), 2);
    assert_eq!(said, "2 redriven, 0 skipped, 0 failed\n");
    fixture.daemon.wait_for_messages(2);
    let (_, said) = run(&["redrive", "--handler", "unknown"]);
    assert_eq!(said, "0 redriven, 0 skipped, 0 failed\n");

    let (code, _, err) = run_dead_letters(&url, &["redrive"]);
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with("error: the daemon refused the request: "),
        "{err}"
    );
    assert!(err.contains("--all"), "{err}");
    let (code, _, err) = run_dead_letters(&url, &["list", "--since", "monday"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("monday"), "{err}");
}

#[test]
fn without_a_daemon_the_error_says_what_to_do() {
    for (url, code, says) in [
        ("http://127.0.0.1:1", 1, "start one with `eventos serve`"),
        ("https://127.0.0.1:1", 1, "start one with `eventos serve`"),
        ("ftp://127.0.0.1:1", 2, "such as http://HOST:PORT"),
        ("nonsense", 2, "such as http://HOST:PORT"),
    ] {
        let (exit_code, out, err) = run_dead_letters(url, &["list"]);
        assert_eq!((exit_code, out.as_str()), (Some(code), ""));
        assert!(err.starts_with("error: ") && err.contains(says), "{err}");
    }
}

#[test]
fn letters_that_fail_again_at_once_are_not_redriven_without_end() {
    let fixture = Fixture::new(Broker::Embedded);
    let values: Vec<_> = (0..1_500).map(|i| rejected(&i.to_string())).collect();
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    let topic = fixture.setup.topic();
    // There is more than one page of dead letters, and `probe` continues to reject.
    let records = values.iter().map(|value| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        record.payload(*value)
    });
    produce(fixture.daemon.broker(), records);
    fixture.daemon.wait_for_consumed(1_500);
    let (code, _, said) = run_dead_letters(&fixture.daemon.url(""), &["redrive", "--all"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "1500 redriven, 0 skipped, 0 failed\n")
    );
    fixture.daemon.wait_for_consumed(3_000);
}
