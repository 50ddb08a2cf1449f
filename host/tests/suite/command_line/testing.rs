//! `eventos test`: the probe on lines of NDJSON, without a broker.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use eventos_testkit::handler;
use serde_json::{Value, json};

use super::{Ran, Shell};

use crate::EVENTOS;

/// Runs the probe on these lines, with these arguments more.
fn probe(lines: &str, arguments: &[&str]) -> Ran {
    let shell = Shell::new();
    shell.write("in.ndjson", lines);
    test(&shell, "in.ndjson", arguments)
}

fn test(shell: &Shell, input: &str, arguments: &[&str]) -> Ran {
    let probe = handler("probe");
    let probe = probe.to_str().expect("UTF-8");
    let usual = ["test", probe, "--input", input];
    shell.run(&[&usual, arguments].concat())
}

/// A line of each tipo, with the ids s1, s2 and so on.
fn lines(tipos: &[&str]) -> String {
    let line = |(i, tipo): (usize, &&str)| format!("{{\"id\":\"s{i}\",\"tipo\":\"{tipo}\"}}\n");
    (1..).zip(tipos).map(line).collect()
}

fn told(ran: &Ran) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).expect("JSON");
    ran.out.lines().map(line).collect()
}

/// One member of each line.
fn each(ran: &Ran, member: &str) -> Value {
    told(ran).iter().map(|line| line[member].clone()).collect()
}

#[test]
fn every_outcome_is_told_on_its_line() {
    let ran = probe(
        &lines(&["any", "drop", "replace-none", "echo", "reject"]),
        &[],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let nothing = |line: usize, outcome: &str| json!({"line": line, "id": format!("s{line}"), "outcome": outcome, "stored": [], "emitted": [], "log": []});
    let with = |mut told: Value, member: &str, value: Value| {
        told[member] = value;
        told
    };
    let evento = json!({"id": "s4", "tipo": "echo"});
    let echoed = json!({"key": null, "value": evento, "headers": [], "timestamp": null});
    let reason = json!({"class": "eventos.Reject", "message": "s5 is asked to be rejected"});
    let expected = [
        nothing(1, "pass"),
        nothing(2, "drop"),
        with(nothing(3, "replace"), "records", json!([])),
        with(nothing(4, "replace"), "records", json!([echoed])),
        with(nothing(5, "reject"), "error", reason),
    ];
    assert_eq!(told(&ran), expected);
    assert_eq!(ran.err, "5 lines: 1 drop, 1 pass, 1 reject, 2 replace\n");
}

#[test]
fn values_come_out_byte_for_byte() {
    let value = r#"{"tipo":"echo", "id":18446744073709551616,"n":[1.10,1e400],"s":"\u00e9 \n"}"#;
    let ran = probe(&format!("\n  {value}  \r\n"), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let start = format!(
        r#"{{"line":2,"id":18446744073709551616,"outcome":"replace","records":[{{"key":null,"value":{value},"#
    );
    assert!(ran.out.starts_with(&start), "{}", ran.out);
}

#[test]
fn a_failing_evento_is_alone_among_good_ones() {
    let ran = probe(&lines(&["log", "store", "log-panic", "store", "log"]), &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        each(&ran, "outcome"),
        json!(["pass", "pass", "failed", "pass", "pass"])
    );
    let told = told(&ran);
    // The batch was handed in again in halves; what counts is said once.
    let levels = ["trace", "debug", "info", "warn", "error"];
    let logged: Vec<_> = levels
        .map(|level| json!({"level": level, "message": format!("s5 at {level}")}))
        .into();
    assert_eq!(told[4]["log"], json!(logged));
    assert_eq!(told[1]["stored"], json!([{"id": "s2", "tipo": "store"}]));
    assert_eq!(told[2]["error"]["class"], "eventos.Trap");
    let log = told[2]["log"].as_array().expect("a list");
    assert_eq!(log[0]["message"], "s3 at trace");
    let message = told[2]["error"]["message"].as_str().expect("a text");
    assert!(message.contains("panicked after an effect"), "{message}");
    let backtrace = told[2]["error"]["backtrace"].as_str().expect("a text");
    assert!(backtrace.contains("handle"), "{backtrace}");
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert!(
        ran.err.starts_with("error: line 3: failed: "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.ends_with("5 lines: 1 failed, 4 pass\n"),
        "{}",
        ran.err
    );
}

#[test]
fn what_is_retried_in_vain_is_a_failure() {
    let ran = probe(&lines(&["retry"]), &[]);
    assert_eq!(ran.code, Some(1));
    let told = told(&ran);
    assert_eq!(told[0]["outcome"], "retry");
    assert_eq!(told[0]["attempts"], 4, "the first, and three retries");
    assert_eq!(told[0]["error"]["class"], "eventos.Retry");
    assert_eq!(
        ran.err,
        "error: line 1: retry: s1 is asked to be retried\n1 line: 1 retry\n"
    );
}

/// What `on_error` would hide in a daemon is told; what it would try again is tried again.
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
        let ran = test(&shell, "in.ndjson", &[]);
        assert_eq!(ran.code, Some(1), "{on_error}");
        assert_eq!(
            each(&ran, "outcome"),
            json!(["failed", "pass"]),
            "{on_error}"
        );
        assert_eq!(told(&ran)[0]["attempts"], attempts, "{on_error}");
    }
}

#[test]
fn a_replacement_that_is_no_evento_is_a_failure() {
    let ran = probe(&lines(&["replace-junk", "replace"]), &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(each(&ran, "outcome"), json!(["failed", "replace"]));
    let told = told(&ran);
    assert_eq!(told[0]["error"]["class"], "eventos.Invalid");
    assert_eq!(told[1]["records"][1]["headers"], json!([["part", "2"]]));
}

#[test]
fn it_may_emit_only_where_it_is_permitted() {
    let emitting = ["--set", "emit_to=alerts", "--produce", "alerts"];
    let ran = probe(&lines(&["emit", "emit-reject"]), &emitting);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told_ = told(&ran);
    let emitted = json!([{
        "topic": "alerts", "key": "key of s1", "value": {"id": "s1", "tipo": "emit"},
        "headers": [["a", "1"], ["nothing", null], ["a", "2"]], "timestamp": 1_700_000_000_000_i64
    }]);
    assert_eq!(told_[0]["emitted"], emitted);
    assert_eq!(told_[1]["emitted"], json!([]), "it was rejected");

    let ran = probe(&lines(&["emit"]), &emitting[..2]);
    assert_eq!(ran.code, Some(1));
    let message = told(&ran)[0]["error"]["message"].to_string();
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
    let ran = test(&shell, "in.ndjson", &["--set", "a=flag=1", "--set", "c="]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let message = &told(&ran)[0]["error"]["message"];
    assert_eq!(message, r#"[("a", "flag=1"), ("b", "[1]"), ("c", "")]"#);

    shell.write("other.toml", "[handler.probe]\nretries = 0\n");
    shell.write("in.ndjson", lines(&["retry"]));
    let ran = test(&shell, "in.ndjson", &["--config", "other.toml"]);
    assert_eq!(ran.out.matches("attempts").count(), 0, "{}", ran.out);
}

#[test]
fn limits_are_those_of_a_daemon() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["spin", "grow", "any"]));
    let limits =
        "[handlers.defaults]\ntimeout = \"50ms\"\nmemory = \"8MiB\"\non_error = \"skip\"\n";
    shell.write("config/eventos.toml", limits);
    let ran = test(&shell, "in.ndjson", &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(each(&ran, "outcome"), json!(["failed", "failed", "pass"]));
    let told = told(&ran);
    let class = |line: usize| told[line]["error"]["class"].clone();
    assert_eq!(
        (class(0), class(1)),
        (json!("eventos.Timeout"), json!("eventos.Memory"))
    );
}

#[test]
fn a_line_that_is_no_evento_is_told_and_the_others_go_on() {
    let ran = probe("{\"id\":1}\nnonsense\n{\"id\":2,\"tipo\":\"any\"}\n", &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        each(&ran, "outcome"),
        json!(["unreadable", "unreadable", "pass"])
    );
    assert_eq!(each(&ran, "id"), json!([null, null, 2]));
    let error =
        json!({"class": "eventos.InvalidEvento", "message": "not an Evento: /tipo is missing"});
    assert_eq!(told(&ran)[0]["error"], error);
    assert!(
        ran.err.starts_with(
            "error: line 1: unreadable: not an Evento: /tipo is missing\nerror: line 2: "
        ),
        "{}",
        ran.err
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
    let ran = probe(&records.join("\n"), &["--records"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        each(&ran, "outcome"),
        json!(["reject", "replace", "unreadable", "pass"])
    );
    let told = told(&ran);
    let seen = told[0]["error"]["message"].as_str().expect("a text");
    for part in [
        r#"key="k""#,
        r#"headers=[a="1", a=null]"#,
        "timestamp=Some(5)",
        "offset=0",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert_eq!(told[1]["records"][0]["key"], json!({"base64": "/w=="}));
    assert!(
        ran.err
            .contains("line 3: unreadable: not a record: unknown field `valeu`"),
        "{}",
        ran.err
    );
    assert_eq!(told[3]["id"], Value::Null);
}

/// As many as three batches, with one that fails in the last.
#[test]
fn an_input_of_many_batches_keeps_its_order() {
    let mut tipos = vec!["any"; 2_500];
    tipos[2_100] = "panic";
    let ran = probe(&lines(&tipos), &[]);
    assert_eq!(ran.code, Some(1));
    let numbers: Vec<_> = told(&ran).iter().map(|told| told["line"].clone()).collect();
    assert_eq!(numbers, (1..=2_500).map(Value::from).collect::<Vec<_>>());
    assert!(
        ran.err.starts_with("error: line 2101: failed: "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.ends_with("2500 lines: 1 failed, 2499 pass\n"),
        "{}",
        ran.err
    );
}

/// Whoever writes a line to stdin has the answer before it writes the next.
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
        .expect("started");
    let mut input = program.stdin.take().expect("piped");
    let mut output = BufReader::new(program.stdout.take().expect("piped")).lines();
    for tipo in ["drop", "any"] {
        input.write_all(lines(&[tipo]).as_bytes()).expect("written");
        let answer = output.next().expect("an answer").expect("read");
        assert!(answer.contains("\"id\":\"s1\""), "{answer}");
    }
    drop(input);
    assert!(program.wait().expect("ended").success());
}

#[test]
fn what_cannot_run_is_an_error() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["any"]));
    let ran = test(&shell, "none.ndjson", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .starts_with("error: cannot read the input none.ndjson\n"),
        "{}",
        ran.err
    );

    let ran = test(&shell, "in.ndjson", &["--set", "fail_init=no"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("its init function failed: fail_init is set: no"),
        "{}",
        ran.err
    );

    let ran = shell.run(&["test", "none.wasm", "--input", "in.ndjson"]);
    assert!(
        ran.err
            .starts_with("error: cannot load the handler none.wasm\n"),
        "{}",
        ran.err
    );

    shell.write("bad.toml", "[handlers.defaults]\nretries = -1\n");
    let ran = test(&shell, "in.ndjson", &["--config", "bad.toml"]);
    assert!(
        ran.err
            .starts_with("error: bad.toml:2: handlers.defaults.retries"),
        "{}",
        ran.err
    );

    for wrong in [
        &["test", "a.wasm"][..],
        &["test", "a.wasm", "--input", "-", "--set", "a"],
    ] {
        assert_eq!(shell.run(wrong).code, Some(2), "{wrong:?}");
    }
}

/// What is printed past the SDK is about no Evento.
#[test]
fn what_is_printed_goes_to_stderr() {
    let shell = Shell::new();
    shell.write("in.ndjson", lines(&["py-print"]));
    let probe = handler("probe-python");
    let probe = probe.to_str().expect("UTF-8");
    let ran = shell.run(&["test", probe, "--input", "in.ndjson"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(told(&ran)[0]["log"], json!([]));
    assert!(
        ran.err.contains("log: warn: wrong in Python\n"),
        "{}",
        ran.err
    );
}
