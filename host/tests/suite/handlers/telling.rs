//! The configuration that a handler gets, and the log lines that it writes.

use super::{Fixture, evento, in_the_middle};

#[test]
fn the_configuration_is_handed_over_strings_as_they_are_and_the_rest_as_json() {
    let toml = "[handler.probe.config]\ntext = \"é \\\"x\\\"\"\nnumber = 1.5\ninteger = 7\nyes = true\n\
                list = [1, \"a\"]\ntable = { b = 1 }\nempty = \"\"\n";
    let fixture = Fixture::new(toml, &in_the_middle("config"));
    let letter = fixture.dead_letter();
    let expected = r#"[("empty", ""), ("integer", "7"), ("list", "[1,\"a\"]"), ("number", "1.5"), ("table", "{\"b\":1}"), ("text", "é \"x\""), ("yes", "true")]"#;
    assert_eq!(
        letter.header("__connect.errors.exception.message"),
        expected
    );
}

#[test]
fn a_handler_knows_its_name_unless_its_settings_say_otherwise() {
    for (toml, name) in [
        ("", "probe"),
        (
            "[handler.probe.config]\n\"eventos.handler\" = \"mine\"\n",
            "mine",
        ),
    ] {
        let letter = Fixture::new(toml, &in_the_middle("name")).dead_letter();
        assert_eq!(letter.header("__connect.errors.exception.message"), name);
    }
}

#[test]
fn a_line_of_the_log_has_the_handler_the_partition_and_the_offset() {
    let toml = "[telemetry]\nlog = \"info,eventos::handler=trace\"\n";
    let fixture = Fixture::new(toml, &in_the_middle("log"));
    let log = fixture.daemon.wait_for_log("it at error");
    for level in ["trace", "debug", "info", "warn", "error"] {
        let text = format!("it at {level}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&text)).collect();
        let [line] = lines[..] else {
            panic!("{text} is not in the log exactly once: {log}");
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
    let fixture = Fixture::new("", &[evento("it", "log-panic")]);
    let log = fixture.daemon.wait_for_log("panicked after an effect");
    assert!(log.contains("it at info"), "{log}");
    assert!(!log.contains("it at debug"), "{log}");
    let panic = log
        .lines()
        .find(|line| line.contains("panicked after an effect"));
    let panic = panic.expect("a log line about the panic");
    assert!(panic.contains("offset=0"), "{panic}");
    let letter = fixture.dead_letter();
    let message = letter.header("__connect.errors.exception.message");
    assert!(message.contains("panicked after an effect"), "{message}");
}
