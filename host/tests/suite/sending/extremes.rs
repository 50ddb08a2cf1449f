//! Eventos that are JSON, and that programs cannot read which read a page of them.

use eventos_testkit::{Broker, ReceivedRecord, Setup, produce, read_topic};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use super::start;
use crate::EVENTOS;

const JSON: &str = "application/json";

/// Returns an Evento with this value.
fn evento(id: usize, value: &str) -> String {
    format!(r#"{{"id":{id},"tipo":"t","x":{value}}}"#)
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

/// Each value, the place of what is wrong with it, and a part of the reason.
fn extremes() -> [(String, String, &'static str); 4] {
    [
        (
            nested(1_000),
            format!("/x{}", "/0".repeat(127)),
            "nested deeper than 128 levels",
        ),
        (
            "7".repeat(5_000),
            "/x".to_owned(),
            "a number of 5000 characters",
        ),
        (r#"["\ud800"]"#.to_owned(), "/x/0".to_owned(), r"\ud800"),
        (
            r#"{"\udead":1}"#.to_owned(),
            "/x".to_owned(),
            "a member whose name has",
        ),
    ]
}

#[test]
fn an_evento_that_others_cannot_read_is_refused_and_dead_lettered_with_its_place() {
    let (setup, daemon) = start();
    let topic = setup.topic();
    let good = evento(0, r#"["\ud83d\ude00",1e400]"#);
    let (mut lines, mut values) = (vec![good.clone()], vec![format!("\u{feff}{good}")]);
    for (i, (value, pointer, reason)) in extremes().into_iter().enumerate() {
        let evento = evento(i + 1, &value);
        let answer = daemon.post_body("/send", JSON, evento.as_str());
        answer.problem(422, "invalid-evento");
        let errors = &answer.json()["errors"];
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
        assert_eq!(errors[0]["pointer"], pointer);
        let detail = errors[0]["detail"].as_str().expect("a text");
        assert!(detail.contains(reason), "{detail}");
        lines.push(evento.clone());
        values.push(evento);
    }
    let answer = daemon.post_body("/send/batch", "application/x-ndjson", lines.join("\n"));
    for (index, line) in answer.json_lines().iter().enumerate() {
        let status = if index == 0 {
            "message sent"
        } else {
            "refused"
        };
        assert_eq!(line["status"], status, "{line}");
    }
    // Some other program produces the same to the topic.
    let records = values.iter().map(|value| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        record.payload(value.as_bytes())
    });
    produce(daemon.broker(), records);
    daemon.wait_for_consumed(6);
    setup.wait_until_committed(&daemon);
    let letters = setup.read_dead_letters(&daemon);
    assert_eq!(letters.len(), 4);
    for (letter, (value, (_, pointer, reason))) in
        letters.iter().zip(values[1..].iter().zip(extremes()))
    {
        assert_eq!(letter.text(), value);
        let message = letter.header("__connect.errors.exception.message");
        assert!(
            message.contains(&pointer) && message.contains(reason),
            "{message}"
        );
    }
    // The byte order mark is gone, so that the page is JSON.
    assert_eq!(daemon.messages(""), format!("[{good},{good}]"));
    let records = read_topic(daemon.broker(), &topic).into_iter();
    assert_eq!(records.map(ReceivedRecord::from).count(), 6);
}

#[test]
fn the_limits_are_settings() {
    let config =
        "[evento]\nmax_depth = 3\nmax_number_length = 5000\nrefuse_lone_surrogates = false\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], config);
    let daemon = setup.start();
    for (value, status) in [
        (nested(2), 200),
        (nested(3), 422),
        ("7".repeat(5_000), 200),
        ("7".repeat(5_001), 422),
        (r#"["\ud800"]"#.to_owned(), 200),
        (r#"{"\udead":1}"#.to_owned(), 200),
    ] {
        let answer = daemon.post_body("/send", JSON, evento(1, &value));
        answer.assert_status(status);
    }
    // An id has to be a text, whatever the settings.
    let answer = daemon.post_body("/send", JSON, r#"{"id":"\ud800","tipo":"t"}"#);
    answer.assert_status(422);
    let errors: Value = answer.json()["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/id");
    daemon.wait_for_consumed(4);
}
