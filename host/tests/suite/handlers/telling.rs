//! What a handler is told, and what it tells: its configuration, and the log.

use super::{Ran, evento, in_the_middle};

#[test]
fn the_configuration_is_handed_over_strings_as_they_are_and_the_rest_as_json() {
    let more = "[handler.probe.config]\ntext = \"é \\\"x\\\"\"\nnumber = 1.5\ninteger = 7\nyes = true\n\
                list = [1, \"a\"]\ntable = { b = 1 }\nempty = \"\"\n";
    let ran = Ran::new(more, &in_the_middle("config"));
    let letter = ran.dead_letter();
    let expected = r#"[("empty", ""), ("integer", "7"), ("list", "[1,\"a\"]"), ("number", "1.5"), ("table", "{\"b\":1}"), ("text", "é \"x\""), ("yes", "true")]"#;
    assert_eq!(
        letter.header("__connect.errors.exception.message"),
        expected
    );
}

#[test]
fn a_line_of_the_log_has_the_handler_the_partition_and_the_offset() {
    let more = "[telemetry]\nlog = \"info,eventos::handler=trace\"\n";
    let ran = Ran::new(more, &in_the_middle("log"));
    let log = ran.daemon.log_with("it at error");
    for level in ["trace", "debug", "info", "warn", "error"] {
        let text = format!("it at {level}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&text)).collect();
        let [line] = lines[..] else {
            panic!("{text} is not there once: {log}");
        };
        for part in [
            &level.to_uppercase(),
            "handler=\"probe\"",
            "partition=0",
            "offset=1",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}

#[test]
fn the_log_is_filtered_and_kept_whatever_becomes_of_the_call() {
    let ran = Ran::new("", &[evento("it", "log-panic")]);
    let log = ran.daemon.log_with("panicked after an effect");
    assert!(log.contains("it at info"), "{log}");
    assert!(!log.contains("it at debug"), "{log}");
    let panic = log
        .lines()
        .find(|line| line.contains("panicked after an effect"));
    let panic = panic.expect("the panic is told to the log");
    assert!(panic.contains("offset=0"), "{panic}");
    let letter = ran.dead_letter();
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("panicked after an effect"), "{message}");
}
