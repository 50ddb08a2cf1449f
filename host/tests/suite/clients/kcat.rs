//! kcat, a common command-line client.

use std::process::Command;

use eventos_testkit::{Daemon, Program};

use super::{daemon, keys, members, send_with_key, set};

/// Runs kcat on the daemon's broker.
fn kcat(daemon: &Daemon, arguments: &[&str], input: &str) -> String {
    let mut kcat = Command::new("kcat");
    Program::run(kcat.args(["-b", daemon.broker()]).args(arguments), input)
}

#[test]
fn it_lists_the_broker_and_its_topics() {
    let (setup, daemon) = daemon();
    let listed = kcat(&daemon, &["-L"], "");
    assert!(listed.contains(" 1 brokers:"), "{listed}");
    assert!(
        listed.contains(&format!(" at {}", daemon.broker())),
        "{listed}"
    );
    for topic in [setup.topic(), setup.dead_letter_topic()] {
        let line = format!("  topic \"{topic}\" with 4 partitions:");
        assert!(listed.contains(&line), "{listed}");
    }
    // A request for an unknown topic is an error and does not create it.
    let none = kcat(
        &daemon,
        &["-L", "-t", "none", "-X", "allow.auto.create.topics=false"],
        "",
    );
    assert!(none.contains("Unknown topic or partition"), "{none}");
    assert!(!kcat(&daemon, &["-L"], "").contains("\"none\""));
}

#[test]
fn what_it_produces_is_stored_and_comes_back_with_key_headers_and_offset() {
    let (setup, daemon) = daemon();
    let topic = setup.topic();
    let produce = [
        "-P", "-t", &topic, "-p", "2", "-K", "\t", "-H", "a=1", "-H", "a=2", "-H", "b=",
    ];
    let input = "k1\t{\"id\":\"1\",\"tipo\":\"kcat\"}\nk2\t{\"id\":\"2\",\"tipo\":\"kcat\"}\n";
    kcat(&daemon, &produce, input);
    let stored = daemon.wait_for_messages(2);
    assert_eq!(members("id", &stored), ["1", "2"]);

    let consume = [
        "-C",
        "-t",
        &topic,
        "-o",
        "beginning",
        "-e",
        "-q",
        "-f",
        "%p %o %k %h %s\n",
    ];
    let lines = kcat(&daemon, &consume, "");
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [
            r#"2 0 k1 a=1,a=2,b= {"id":"1","tipo":"kcat"}"#,
            r#"2 1 k2 a=1,a=2,b= {"id":"2","tipo":"kcat"}"#,
        ]
    );
    // It reads from an offset, and returns the offset of a position.
    let last = [
        "-C", "-t", &topic, "-p", "2", "-o", "-1", "-e", "-q", "-f", "%o\n",
    ];
    assert_eq!(kcat(&daemon, &last, ""), "1");
    let end = kcat(&daemon, &["-Q", "-t", &format!("{topic}:2:-1")], "");
    assert!(end.trim().ends_with("offset 2"), "{end}");
}

#[test]
fn its_group_goes_on_where_it_stopped() {
    let (setup, daemon) = daemon();
    let keys = keys(40);
    for key in &keys {
        send_with_key(&daemon, key);
    }
    let consume = |count: usize| {
        let (topic, count) = (setup.topic(), count.to_string());
        let earliest = "auto.offset.reset=earliest";
        let group = [
            "-G",
            "kcat-group",
            "-X",
            earliest,
            "-q",
            "-c",
            &count,
            "-f",
            "%k\n",
            &topic,
        ];
        let lines = kcat(&daemon, &group, "");
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, rest) = (consume(15), consume(25));
    assert_eq!((first.len(), rest.len()), (15, 25));
    assert_eq!(set(first.into_iter().chain(rest)), set(keys));
}
