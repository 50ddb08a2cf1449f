//! `eventos replay` on the command line.

use super::*;

#[test]
fn a_replay_from_the_command_line_tells_of_each_partition() {
    let (_setup, daemon) = filled(Broker::Embedded, 8);
    let (code, out, err) = run_replay(&daemon, &["--from", "1", "--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    let line = "partition 3: would be rewound from 2 to 1, 1 records\n";
    assert!(out.contains(line), "{out}");
    assert!(
        out.ends_with("4 records would be processed again\n"),
        "{out}"
    );
    let (code, out, err) = run_replay(&daemon, &["--from", "earliest", "--partition", "3"]);
    assert_eq!(code, Some(0), "{err}");
    let expected =
        "partition 3: rewound from 2 to 0, 2 records\n2 records will be processed again\n";
    assert_eq!(out, expected);
    daemon.wait_for_consumed(10);
    let (code, _, err) = run_replay(&daemon, &["--from", "earliest", "--partition", "9"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no partition 9"), "{err}");
}

#[test]
fn a_part_of_a_replay_is_an_error() {
    let setup = setup(Broker::Embedded);
    let daemon = setup.start();
    daemon.pause("probe");
    fill(&setup, &daemon, 0..4);
    eventually("a partition to be busy", || {
        let (code, out, err) = run_replay(&daemon, &["--from", "earliest"]);
        if code != Some(1) {
            return None;
        }
        assert!(
            out.contains("failed: its handlers are still working"),
            "{out}"
        );
        assert!(
            err.starts_with("error: some partitions were not rewound"),
            "{err}"
        );
        Some(())
    });
}

#[test]
fn without_a_daemon_the_error_says_to_start_one() {
    let no_daemon = "http://127.0.0.1:1";
    let replay = |from| run_subcommand(EVENTOS, "replay", no_daemon, &["--from", from]);
    let (code, out, err) = replay("earliest");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("start one with `eventos serve`"), "{err}");
    let (code, _, err) = replay("latest");
    assert_eq!(code, Some(2));
    assert!(err.contains("earliest, an offset such as 42"), "{err}");
}
