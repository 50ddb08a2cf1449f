//! `eventos replay`: what a person types.

use eventos_testkit::ask_from_a_shell;

use super::*;
use crate::EVENTOS;

fn eventos(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    ask_from_a_shell(EVENTOS, "replay", url, arguments)
}

#[test]
fn a_replay_from_the_command_line_tells_of_each_partition() {
    let (_setup, daemon) = filled(Broker::Embedded, 8);
    let url = daemon.url("");
    let (code, out, err) = eventos(&url, &["--from", "1", "--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    let line = "partition 3: would be rewound from 2 to 1, 1 records\n";
    assert!(out.contains(line), "{out}");
    assert!(out.ends_with("4 records would be handled again\n"), "{out}");
    let (code, out, err) = eventos(&url, &["--from", "earliest", "--partition", "3"]);
    assert_eq!(code, Some(0), "{err}");
    let told = "partition 3: rewound from 2 to 0, 2 records\n2 records are handled again\n";
    assert_eq!(out, told);
    daemon.wait_for_consumed(10);
    let (code, _, err) = eventos(&url, &["--from", "earliest", "--partition", "9"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no partition 9"), "{err}");
}

#[test]
fn a_part_of_a_replay_is_an_error() {
    let setup = setup(Broker::Embedded);
    let daemon = setup.start();
    assert_eq!(ask(&daemon, "/handlers/probe/pause").0, 200);
    fill(&setup, &daemon, 0..4);
    eventually("the partitions to be at work", || {
        let (code, out, err) = eventos(&daemon.url(""), &["--from", "earliest"]);
        if code != Some(1) {
            return None;
        }
        assert!(
            out.contains("failed: its handlers are still at work"),
            "{out}"
        );
        assert!(err.starts_with("error: not every partition"), "{err}");
        Some(())
    });
}

#[test]
fn without_a_daemon_the_error_says_to_start_one() {
    let (code, out, err) = eventos("http://127.0.0.1:1", &["--from", "earliest"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("start one with `eventos serve`"), "{err}");
    let (code, _, err) = eventos("http://127.0.0.1:1", &["--from", "latest"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("earliest, an offset such as 42"), "{err}");
}
