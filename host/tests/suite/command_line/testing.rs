//! `eventos test`: runs a handler on lines of NDJSON, without a broker.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use eventos_testkit::{handler, json_lines};
use serde_json::{Value, json};

use super::{Finished, Shell};
use crate::EVENTOS;

/// Runs the probe on these lines, with these additional arguments.
fn probe(lines: &str, arguments: &[&str]) -> Finished {
    let shell = Shell::new();
    shell.write("in.ndjson", lines);
    test(&shell, "in.ndjson", arguments)
}

fn test(shell: &Shell, input: &str, arguments: &[&str]) -> Finished {
    let probe = handler("probe");
    let probe = probe.to_str().expect("UTF-8");
    let usual = ["test", probe, "--input", input];
    shell.run(&[&usual, arguments].concat())
}

/// Makes one line per tipo, with the ids s1, s2 and so on.
fn lines(tipos: &[&str]) -> String {
    let line = |(i, tipo): (usize, &&str)| format!("{{\"id\":\"s{i}\",\"tipo\":\"{tipo}\"}}\n");
    (1..).zip(tipos).map(line).collect()
}

/// Parses the report on each line.
fn reports(output: &Finished) -> Vec<Value> {
    json_lines(&output.out)
}

/// Returns one member of each report.
fn each(output: &Finished, member: &str) -> Value {
    reports(output)
        .iter()
        .map(|report| report[member].clone())
        .collect()
}

#[test]
fn every_outcome_is_told_on_its_line() {
    let output = probe(
        &lines(&["any", "drop", "replace-none", "echo", "reject"]),
        &[],
    );
    assert_eq!(output.code, Some(0), "{}", output.err);
    let plain = |line: usize, outcome: &str| json!({"line": line, "id": format!("s{line}"), "outcome": outcome, "stored": [], "emitted": [], "log": []});
    let with = |mut report: Value, member: &str, value: Value| {
        report[member] = value;
        report
    };
    let evento = json!({"id": "s4", "tipo": "echo"});
    let echoed = json!({"key": null, "value": evento, "headers": [], "timestamp": null});
    let reason = json!({"class": "eventos.Reject", "message": "s5 is asked to be rejected"});
    let expected = [
        plain(1, "pass"),
        plain(2, "drop"),
        with(plain(3, "replace"), "records", json!([])),
        with(plain(4, "replace"), "records", json!([echoed])),
        with(plain(5, "reject"), "error", reason),
    ];
    assert_eq!(reports(&output), expected);
    assert_eq!(output.err, "5 lines: 1 drop, 1 pass, 1 reject, 2 replace\n");
}

#[test]
fn values_come_out_byte_for_byte() {
    let value = r#"{"tipo":"echo", "id":18446744073709551616,"n":[1.10,1e400],"s":"\u00e9 \n"}"#;
    let output = probe(&format!("\n  {value}  \r\n"), &[]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let start = format!(
        r#"{{"line":2,"id":18446744073709551616,"outcome":"replace","records":[{{"key":null,"value":{value},"#
    );
    assert!(output.out.starts_with(&start), "{}", output.out);
}

#[test]
fn a_failing_evento_is_alone_among_good_ones() {
    let output = probe(&lines(&["log", "store", "log-panic", "store", "log"]), &[]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        each(&output, "outcome"),
        json!(["pass", "pass", "failed", "pass", "pass"])
    );
    let reports = reports(&output);
    // The batch was handled again in halves, but each log line is reported once.
    let levels = ["trace", "debug", "info", "warn", "error"];
    let logged: Vec<_> = levels
        .map(|level| json!({"level": level, "message": format!("s5 at {level}")}))
        .into();
    assert_eq!(reports[4]["log"], json!(logged));
    assert_eq!(reports[1]["stored"], json!([{"id": "s2", "tipo": "store"}]));
    assert_eq!(reports[2]["error"]["class"], "eventos.Trap");
    let log = reports[2]["log"].as_array().expect("a list");
    assert_eq!(log[0]["message"], "s3 at trace");
    let message = reports[2]["error"]["message"].as_str().expect("a text");
    assert!(message.contains("panicked after an effect"), "{message}");
    let backtrace = reports[2]["error"]["backtrace"].as_str().expect("a text");
    assert!(backtrace.contains("handle"), "{backtrace}");
    assert_eq!(output.err.lines().count(), 2, "{}", output.err);
    assert!(
        output.err.starts_with("error: line 3: failed: "),
        "{}",
        output.err
    );
    assert!(
        output.err.ends_with("5 lines: 1 failed, 4 pass\n"),
        "{}",
        output.err
    );
}

#[test]
fn what_is_retried_in_vain_is_a_failure() {
    let output = probe(&lines(&["retry"]), &[]);
    assert_eq!(output.code, Some(1));
    let reports = reports(&output);
    assert_eq!(reports[0]["outcome"], "retry");
    assert_eq!(reports[0]["attempts"], 4, "one call and three retries");
    assert_eq!(reports[0]["error"]["class"], "eventos.Retry");
    assert_eq!(
        output.err,
        "error: line 1: retry: s1 is asked to be retried\n1 line: 1 retry\n"
    );
}

/// A failure is reported even if `on_error` would hide it in a daemon. Retries happen as in a daemon.
#[test]
fn failures_are_told_whatever_becomes_of_them() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["panic", "any"]));
    for (on_error, attempts) in [
        ("dead_letter", Value::Null),
        ("skip", Value::Null),
        ("stop", Value::Null),
        ("retry", json!(2)),
    ] {
        let settings = format!(
            "[handlers.defaults]\non_error = \"{on_error}\"\nretries = 1\nmax_failures = 1\n"
        );
        shell.write("config/eventos.toml", settings);
        let output = test(&shell, "in.ndjson", &[]);
        assert_eq!(output.code, Some(1), "{on_error}");
        assert_eq!(
            each(&output, "outcome"),
            json!(["failed", "pass"]),
            "{on_error}"
        );
        assert_eq!(reports(&output)[0]["attempts"], attempts, "{on_error}");
    }
}

#[test]
fn a_replacement_that_is_no_evento_is_a_failure() {
    let output = probe(&lines(&["replace-junk", "replace"]), &[]);
    assert_eq!(output.code, Some(1));
    assert_eq!(each(&output, "outcome"), json!(["failed", "replace"]));
    let reports = reports(&output);
    assert_eq!(reports[0]["error"]["class"], "eventos.Invalid");
    assert_eq!(reports[1]["records"][1]["headers"], json!([["part", "2"]]));
}

#[test]
fn it_may_emit_only_where_it_is_permitted() {
    let emitting = ["--set", "emit_to=alerts", "--produce", "alerts"];
    let output = probe(&lines(&["emit", "emit-reject"]), &emitting);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let both = reports(&output);
    let emitted = json!([{
        "topic": "alerts", "key": "key of s1", "value": {"id": "s1", "tipo": "emit"},
        "headers": [["a", "1"], ["nothing", null], ["a", "2"]], "timestamp": 1_700_000_000_000_i64
    }]);
    assert_eq!(both[0]["emitted"], emitted);
    assert_eq!(
        both[1]["emitted"],
        json!([]),
        "a rejected Evento emits nothing"
    );

    let output = probe(&lines(&["emit"]), &emitting[..2]);
    assert_eq!(output.code, Some(1));
    let message = reports(&output)[0]["error"]["message"].to_string();
    assert!(
        message.contains("the topic alerts is not permitted; add it to handler.probe.produce"),
        "{message}"
    );
}

#[test]
fn settings_come_from_the_configuration_and_from_the_flags() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["config"]));
    shell.write(
        "config/eventos.toml",
        "[handler.probe]\nconfig = { a = \"file\", b = [1] }\n",
    );
    let output = test(&shell, "in.ndjson", &["--set", "a=flag=1", "--set", "c="]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let message = &reports(&output)[0]["error"]["message"];
    assert_eq!(message, r#"[("a", "flag=1"), ("b", "[1]"), ("c", "")]"#);

    shell.write("other.toml", "[handler.probe]\nretries = 0\n");
    shell.write("in.ndjson", lines(&["retry"]));
    let output = test(&shell, "in.ndjson", &["--config", "other.toml"]);
    assert_eq!(output.out.matches("attempts").count(), 0, "{}", output.out);
}

#[test]
fn limits_are_those_of_a_daemon() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["spin", "grow", "any"]));
    let limits =
        "[handlers.defaults]\ntimeout = \"50ms\"\nmemory = \"8MiB\"\non_error = \"skip\"\n";
    shell.write("config/eventos.toml", limits);
    let output = test(&shell, "in.ndjson", &[]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        each(&output, "outcome"),
        json!(["failed", "failed", "pass"])
    );
    let reports = reports(&output);
    let class = |line: usize| reports[line]["error"]["class"].clone();
    assert_eq!(
        (class(0), class(1)),
        (json!("eventos.Timeout"), json!("eventos.Memory"))
    );
}

#[test]
fn a_line_that_is_no_evento_is_told_and_the_others_go_on() {
    let output = probe("{\"id\":1}\nnonsense\n{\"id\":2,\"tipo\":\"any\"}\n", &[]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        each(&output, "outcome"),
        json!(["unreadable", "unreadable", "pass"])
    );
    assert_eq!(each(&output, "id"), json!([null, null, 2]));
    let error =
        json!({"class": "eventos.InvalidEvento", "message": "not an Evento: /tipo is missing"});
    assert_eq!(reports(&output)[0]["error"], error);
    assert!(
        output.err.starts_with(
            "error: line 1: unreadable: not an Evento: /tipo is missing\nerror: line 2: "
        ),
        "{}",
        output.err
    );
}

#[test]
fn whole_records_have_keys_headers_timestamps_and_tombstones() {
    let records = [
        r#"{"key":"k","headers":[["a","1"],["a",null]],"timestamp":5,"value":{"id":1,"tipo":"headers"}}"#,
        r#"{"key":{"base64":"/w=="},"value":{"id":2,"tipo":"echo"}}"#,
        r#"{"key":"k","valeu":null}"#,
        r#"{"key":"k","value":null}"#,
    ];
    let output = probe(&records.join("\n"), &["--records"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        each(&output, "outcome"),
        json!(["reject", "replace", "unreadable", "pass"])
    );
    let reports = reports(&output);
    let seen = reports[0]["error"]["message"].as_str().expect("a text");
    for part in [
        r#"key="k""#,
        r#"headers=[a="1", a=null]"#,
        "timestamp=Some(5)",
        "offset=0",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert_eq!(reports[1]["records"][0]["key"], json!({"base64": "/w=="}));
    assert!(
        output
            .err
            .contains("line 3: unreadable: not a record: unknown field `valeu`"),
        "{}",
        output.err
    );
    assert_eq!(reports[3]["id"], Value::Null);
}

/// The input makes three batches, and one Evento in the last fails.
#[test]
fn an_input_of_many_batches_keeps_its_order() {
    let mut tipos = vec!["any"; 2_500];
    tipos[2_100] = "panic";
    let output = probe(&lines(&tipos), &[]);
    assert_eq!(output.code, Some(1));
    let numbers: Vec<_> = reports(&output)
        .iter()
        .map(|report| report["line"].clone())
        .collect();
    assert_eq!(numbers, (1..=2_500).map(Value::from).collect::<Vec<_>>());
    assert!(
        output.err.starts_with("error: line 2101: failed: "),
        "{}",
        output.err
    );
    assert!(
        output.err.ends_with("2500 lines: 1 failed, 2499 pass\n"),
        "{}",
        output.err
    );
}

/// The report on a line from standard input comes before the next line is written.
#[test]
fn lines_of_stdin_are_answered_as_they_come() {
    let mut program = Command::new(EVENTOS)
        .arg("test")
        .arg(handler("probe"))
        .args(["--input", "-"])
        .current_dir(Shell::new().dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = program.stdin.take().expect("piped");
    let mut output = BufReader::new(program.stdout.take().expect("piped")).lines();
    for tipo in ["drop", "any"] {
        input
            .write_all(lines(&[tipo]).as_bytes())
            .expect("the file is written");
        let answer = output.next().expect("an answer").expect("a line");
        assert!(answer.contains("\"id\":\"s1\""), "{answer}");
    }
    drop(input);
    assert!(program.wait().expect("the program exits").success());
}

#[test]
fn what_cannot_run_is_an_error() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["any"]));
    let output = test(&shell, "none.ndjson", &[]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(
        output
            .err
            .starts_with("error: cannot open the input none.ndjson\n"),
        "{}",
        output.err
    );

    let output = test(&shell, "in.ndjson", &["--set", "fail_init=no"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(
        output
            .err
            .contains("its init function failed: fail_init is set: no"),
        "{}",
        output.err
    );

    let output = shell.run(&["test", "none.wasm", "--input", "in.ndjson"]);
    assert!(
        output
            .err
            .starts_with("error: cannot load the handler none.wasm\n"),
        "{}",
        output.err
    );

    shell.write("bad.toml", "[handlers.defaults]\nretries = -1\n");
    let output = test(&shell, "in.ndjson", &["--config", "bad.toml"]);
    assert!(
        output
            .err
            .starts_with("error: bad.toml:2: handlers.defaults.retries"),
        "{}",
        output.err
    );

    for wrong in [
        &["test", "a.wasm"][..],
        &["test", "a.wasm", "--input", "-", "--set", "a"],
    ] {
        assert_eq!(shell.run(wrong).code, Some(2), "{wrong:?}");
    }
}

/// What a handler prints without the SDK is not part of any report.
#[test]
fn what_is_printed_goes_to_stderr() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["py-print"]));
    let probe = handler("probe-python");
    let probe = probe.to_str().expect("UTF-8");
    let output = shell.run(&["test", probe, "--input", "in.ndjson"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(reports(&output)[0]["log"], json!([]));
    assert!(
        output.err.contains("log: warn: wrong in Python\n"),
        "{}",
        output.err
    );
}
