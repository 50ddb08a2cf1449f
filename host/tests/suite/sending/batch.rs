//! `POST /send/batch`.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use eventos_testkit::{
    Broker, DEADLINE, Daemon, ReceivedRecord, Setup, create_topic, json_lines, read_topic,
};
use serde_json::{Value, json};

use super::start;
use crate::EVENTOS;

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    let evento = |i| format!(r#"{{"id":{i},"tipo":"numbered","n":{i}.10}}"#);
    range.map(evento).collect()
}

/// Checks that the topic has each Evento at the partition and offset of its line in the answer.
fn assert_sent(setup: &Setup, daemon: &Daemon, answers: &[Value], eventos: &[String]) {
    assert_eq!(answers.len(), eventos.len());
    let place = |(index, (answer, evento)): (usize, (&Value, &String))| {
        assert_eq!(
            (&answer["status"], &answer["index"]),
            (&json!("message sent"), &json!(index))
        );
        let [partition, offset] = ["partition", "offset"].map(|name| answer[name].as_i64());
        (
            partition.expect("a number"),
            offset.expect("a number"),
            evento.clone(),
        )
    };
    let mut acknowledged: Vec<_> = answers.iter().zip(eventos).enumerate().map(place).collect();
    acknowledged.sort_unstable();
    let records = read_topic(daemon.broker(), &setup.topic());
    let records = records.into_iter().map(ReceivedRecord::from);
    let found: Vec<_> = records
        .map(|record| {
            assert_eq!(record.key, None);
            (
                i64::from(record.partition),
                record.offset,
                record.text().to_owned(),
            )
        })
        .collect();
    assert!(
        found == acknowledged,
        "the topic does not have what the answer says"
    );
}

#[test]
fn ndjson_and_an_array_are_answered_alike_a_line_an_evento() {
    let eventos = numbered(0..1_000);
    let bodies = [
        (NDJSON, eventos.join("\n")),
        (NDJSON, format!("\r\n{}\r\n\r\n", eventos.join("\r\n\n"))),
        (JSON, format!("[{}]", eventos.join(","))),
        (JSON, format!(" [\n{}\n]\n", eventos.join("\n,\n"))),
    ];
    for (content_type, body) in bodies {
        let (setup, daemon) = start();
        let answer = daemon.post_body("/send/batch", content_type, body);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(NDJSON));
        assert_sent(&setup, &daemon, &answer.json_lines(), &eventos);
        daemon.wait_for_messages(eventos.len());
        assert_eq!(daemon.messages(""), format!("[{}]", eventos.join(",")));
    }
}

#[test]
fn refusals_stand_in_their_place_and_the_others_go_on() {
    let too_large = format!(
        r#"{{"id":5,"tipo":"t","filling":"{}"}}"#,
        "x".repeat(1_000_000)
    );
    let items = [
        r#"{"id":0,"tipo":"t"}"#,
        r#"{"id":1}"#,
        r#"{"id":2,"tipo":"t"}"#,
        "{}",
        "[3]",
        &too_large,
        r#"{"id":6,"tipo":"t","n":1.10}"#,
    ];
    for (content_type, body) in [
        (NDJSON, items.join("\n")),
        (JSON, format!("[{}]", items.join(","))),
    ] {
        let (_setup, daemon) = start();
        let answer = daemon.post_body("/send/batch", content_type, body);
        let answers = answer.json_lines();
        assert_eq!(answers.len(), items.len());
        for (index, answer) in answers.iter().enumerate() {
            assert_eq!(answer["index"], index);
            let status = match index {
                0 | 2 | 6 => "message sent",
                _ => "refused",
            };
            assert_eq!(answer["status"], status, "{answer}");
        }
        let pointers = |i: usize| -> Vec<_> {
            let errors = answers[i]["problem"]["errors"].as_array().expect("errors");
            errors
                .iter()
                .map(|error| error["pointer"].clone())
                .collect()
        };
        assert_eq!(pointers(1), ["/tipo"]);
        assert_eq!(pointers(3), ["/id", "/tipo"]);
        assert_eq!(pointers(4), [""]);
        let statuses = [1, 3, 4, 5].map(|i: usize| answers[i]["problem"]["status"].as_u64());
        assert_eq!(statuses, [422, 422, 422, 413].map(Some));
        daemon.wait_for_messages(3);
        assert_eq!(
            daemon.messages(""),
            format!("[{},{},{}]", items[0], items[2], items[6])
        );
    }
}

#[test]
fn a_malformed_line_is_refused_and_a_malformed_array_ends_there() {
    let (_setup, daemon) = start();
    let [a, b, c] = [0, 1, 2].map(|id| format!(r#"{{"id":{id},"tipo":"t"}}"#));
    let answer = daemon.post_body(
        "/send/batch",
        NDJSON,
        format!("{a}\n{{\"id\":\n{b}\nx\n{c}"),
    );
    let answers = answer.json_lines();
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].as_str())
        .collect();
    let (sent, refused) = (Some("message sent"), Some("refused"));
    assert_eq!(statuses, [sent, refused, sent, refused, sent]);
    assert_eq!(answers[1]["problem"]["status"], 400);
    daemon.wait_for_messages(3);

    let answer = daemon.post_body("/send/batch", JSON, format!("[{a},{b},{{\"id\":,{c}]"));
    let answers = answer.json_lines();
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].as_str())
        .collect();
    assert_eq!(statuses, [sent, sent, Some("stopped")]);
    assert_eq!(answers[2]["index"], 2);
    assert_eq!(
        answers[2]["problem"]["type"],
        "urn:eventos:problem:malformed-json"
    );
    daemon.wait_for_messages(5);

    for empty in ["", "\n \n", "[]", " [ ] "] {
        let answer = daemon.post_body("/send/batch", JSON, empty);
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, ""),
            "{empty:?}"
        );
    }
    daemon
        .post_body("/send/batch", "text/csv", a.as_str())
        .problem(415, "media-type");
    daemon
        .post_body("/send/batch?key=k", NDJSON, a)
        .problem(400, "invalid-query");
    daemon.get("/send/batch").problem(405, "method-not-allowed");
}

#[test]
fn a_client_that_reads_only_after_it_wrote_20_000_gets_every_answer_with_the_broker_inside() {
    a_client_that_reads_only_after_it_wrote_20_000_gets_every_answer(Broker::Embedded);
}

#[test]
fn a_client_that_reads_only_after_it_wrote_20_000_gets_every_answer_with_kafka() {
    a_client_that_reads_only_after_it_wrote_20_000_gets_every_answer(Broker::Kafka);
}

/// The Eventos are in several partitions, and still come back in the order in which they were sent.
fn a_client_that_reads_only_after_it_wrote_20_000_gets_every_answer(broker: Broker) {
    let setup = Setup::new(EVENTOS, broker, &["store"], "");
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &setup.topic(), 4);
    }
    let daemon = setup.start();
    let eventos = numbered(0..20_000);
    let answer = write_then_read(&daemon, &eventos.join("\n"));
    assert_sent(&setup, &daemon, &json_lines(&answer), &eventos);
    let partitions = |line: Value| line["partition"].as_i64();
    let mut partitions: Vec<_> = json_lines(&answer).into_iter().map(partitions).collect();
    partitions.sort_unstable();
    partitions.dedup();
    assert!(
        partitions.len() > 1,
        "all are in one partition, so their order proves nothing"
    );

    daemon.wait_for_messages(eventos.len());
    let served = daemon.messages("?limit=20000");
    assert!(
        served == format!("[{}]", eventos.join(",")),
        "the order is different"
    );
}

/// Sends a whole request before it reads the answer. HTTP clients read while they write, so this uses a socket. HTTP/1.0 has no
/// chunks: the answer is everything until the end.
fn write_then_read(daemon: &Daemon, body: &str) -> String {
    let url = daemon.url("");
    let address = url.strip_prefix("http://").expect("an address");
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a socket option");
    socket
        .set_write_timeout(Some(DEADLINE))
        .expect("a socket option");
    let head = format!(
        "POST /send/batch HTTP/1.0\r\nHost: {address}\r\nContent-Type: {NDJSON}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket
        .write_all(head.as_bytes())
        .expect("the request is written");
    socket
        .write_all(body.as_bytes())
        .expect("the request is written");
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .expect("the answer is read");
    let (head, lines) = answer.split_once("\r\n\r\n").expect("headers and a body");
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    lines.to_owned()
}
