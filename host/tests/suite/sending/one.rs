//! `POST /send`.

use eventos_testkit::{Answer, ReceivedRecord, read_topic};
use serde_json::json;

use super::start;

const JSON: &str = "application/json";

/// Eventos that a parser might round, reorder or rewrite.
const EXACT: [&str; 6] = [
    r#"{"id":"a","tipo":"t","n":1.10,"zeros":0.00,"m":[1E5,1e+5,-0,-0.0,10.0]}"#,
    r#"{"id":9223372036854775808,"tipo":"t","below":-9223372036854775809,"huge":1e400,"tiny":1e-400}"#,
    r#"{"tipo":"t","z":1,"a":2,"id":123456789012345678901234567890,"a":3}"#,
    r#"{"id":"\u00e9\n\"\\\/","tipo":"\u0074","text":"\ud83d\ude00 é \u0000"}"#,
    r#"{"id":0,"tipo":"t","nested":{"a":[{"b":[[],{},null,true]}],"id":{"tipo":0}}}"#,
    "{ \"id\" :\t\"spaced\" ,\r\n \"tipo\": \"t\", \"n\" : [ 1 , 2 ] }",
];

#[test]
fn an_evento_comes_back_to_the_digit_everywhere() {
    let (setup, daemon) = start();
    let mut answers = Vec::new();
    for evento in EXACT {
        let answer = daemon.post_body("/send", JSON, evento);
        answer.assert_status(200);
        assert_eq!(answer.header("content-type"), Some(JSON));
        // The test does not parse the answer: the parser rejects 1e400.
        let start = format!(r#"{{"status":"message sent","evento":{evento},"partition":"#);
        let place = answer.text.strip_prefix(&start).expect(&answer.text);
        let (partition, offset) = place.split_once(",\"offset\":").expect(place);
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let offset = offset.strip_suffix('}').expect(place);
        answers.push((number(partition), number(offset), evento));
    }
    // The topic has the same texts.
    let records = read_topic(daemon.broker(), &setup.topic());
    let records: Vec<_> = records.into_iter().map(ReceivedRecord::from).collect();
    answers.sort_unstable();
    let found: Vec<_> = records
        .iter()
        .map(|record| {
            assert_eq!((&record.key, &record.headers), (&None, &vec![]));
            (i64::from(record.partition), record.offset, record.text())
        })
        .collect();
    assert_eq!(found, answers);
    // The daemon serves the same texts, together and one by one.
    daemon.wait_for_consumed(6);
    assert_eq!(daemon.messages(""), format!("[{}]", EXACT.join(",")));
    let alone = [
        ("a", EXACT[0]),
        ("9223372036854775808", EXACT[1]),
        ("123456789012345678901234567890", EXACT[2]),
        ("%C3%A9%0A%22%5C%2F", EXACT[3]),
        ("0", EXACT[4]),
    ];
    for (id, evento) in alone {
        assert_eq!(daemon.get(&format!("/messages/{id}")).text, evento);
    }
}

#[test]
fn white_space_around_it_is_no_part_of_it() {
    let (setup, daemon) = start();
    let evento = r#"{"id":1,"tipo":"t"}"#;
    let answer = daemon.post_body("/send", JSON, format!(" \r\n\t{evento}\n "));
    assert!(answer.text.contains(&format!("\"evento\":{evento},")));
    let records = read_topic(daemon.broker(), &setup.topic());
    assert_eq!(ReceivedRecord::from(records[0].clone()).text(), evento);
}

/// The partitions follow from the hashes in the tests of Kafka's own clients
/// (`org.apache.kafka.common.utils.UtilsTest.testMurmur2`), with 4 partitions.
#[test]
fn a_key_is_the_records_and_lands_where_kafkas_clients_put_it() {
    let (setup, daemon) = start();
    let keys = [
        ("?key=21", Some("21"), Some(0)),
        ("?key=foobar", Some("foobar"), Some(2)),
        ("?key=abc", Some("abc"), Some(3)),
        ("?key=21", Some("21"), Some(0)),
        ("?key=%C3%A9+%2B%26", Some("é +&"), None),
        ("?key=", Some(""), None),
        ("", None, None),
    ];
    let mut sent = Vec::new();
    for (i, (query, key, partition)) in keys.into_iter().enumerate() {
        let evento = format!(r#"{{"id":{i},"tipo":"t"}}"#);
        let answer = daemon.post_body(&format!("/send{query}"), JSON, evento.as_str());
        answer.assert_status(200);
        let place = answer.json();
        if let Some(partition) = partition {
            assert_eq!(place["partition"], partition, "{query}");
        }
        let place = (place["partition"].clone(), place["offset"].clone());
        sent.push((place.0.as_i64(), place.1.as_i64(), key, evento));
    }
    let read = read_topic(daemon.broker(), &setup.topic());
    let read: Vec<_> = read.into_iter().map(ReceivedRecord::from).collect();
    let read: Vec<_> = read
        .iter()
        .map(|record| {
            let key = record
                .key
                .as_deref()
                .map(|key| str::from_utf8(key).expect("UTF-8"));
            let partition = Some(i64::from(record.partition));
            (
                partition,
                Some(record.offset),
                key,
                record.text().to_owned(),
            )
        })
        .collect();
    sent.sort_unstable();
    assert_eq!(read, sent);
}

#[test]
fn what_is_no_evento_is_refused_with_every_fault_and_not_sent() {
    let (setup, daemon) = start();
    let malformed: [&[u8]; 6] = [
        b"",
        b"{\"id\":1,",
        b"{\"id\":1,\"tipo\":\"t\"} {}",
        b"{\"id\":1,\"tipo\":\"t\",}",
        b"{\"id\":01,\"tipo\":\"t\"}",
        b"{\"id\":\"\xff\",\"tipo\":\"t\"}",
    ];
    for body in malformed {
        let answer = daemon.post_body("/send", JSON, body);
        let detail = answer.problem(400, "malformed-json");
        assert!(detail.starts_with("malformed JSON: "), "{detail}");
        assert_eq!(answer.json().get("errors"), None);
    }
    let missing = "is missing";
    let id = "is neither a non-empty string nor an integer";
    let tipo = "is not a non-empty string";
    let invalid = [
        ("{}", vec![("/id", missing), ("/tipo", missing)]),
        (r#"{"tipo":"t"}"#, vec![("/id", missing)]),
        (
            r#"{"id":1.0,"tipo":""}"#,
            vec![("/id", id), ("/tipo", tipo)],
        ),
        (r#"{"id":"","tipo":1}"#, vec![("/id", id), ("/tipo", tipo)]),
        (
            r#"{"id":null,"tipo":["t"]}"#,
            vec![("/id", id), ("/tipo", tipo)],
        ),
        (r#"{"id":true,"tipo":"t"}"#, vec![("/id", id)]),
        (
            r#"{"id":1,"id":2,"tipo":"t"}"#,
            vec![("/id", "stands 2 times")],
        ),
        ("[1]", vec![("", "is not a JSON object")]),
        ("null", vec![("", "is not a JSON object")]),
    ];
    for (body, faults) in invalid {
        let answer = daemon.post_body("/send", JSON, body);
        answer.problem(422, "invalid-evento");
        let faults: Vec<_> = faults
            .iter()
            .map(|(pointer, detail)| json!({"pointer": pointer, "detail": detail}))
            .collect();
        assert_eq!(answer.json()["errors"], json!(faults), "{body}");
    }
    assert!(read_topic(daemon.broker(), &setup.topic()).is_empty());
}

#[test]
fn an_evento_has_at_most_a_million_bytes() {
    let (setup, daemon) = start();
    let sized = |size: usize| {
        let (start, end) = (r#"{"id":1,"tipo":"t","filling":""#, "\"}");
        format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
    };
    daemon.send(&sized(1_000_000));
    for size in [1_000_001, 3_000_000] {
        let answer = daemon.post_body("/send", JSON, sized(size));
        assert!(answer.problem(413, "too-large").contains("1000000"));
    }
    assert_eq!(read_topic(daemon.broker(), &setup.topic()).len(), 1);
    daemon.wait_for_messages(1);
    assert!(daemon.messages("/1") == sized(1_000_000));
}

#[test]
fn other_media_types_parameters_and_methods_are_refused() {
    let (setup, daemon) = start();
    let evento = r#"{"id":1,"tipo":"t"}"#;
    for given in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/x-ndjson",
        "",
    ] {
        let answer = daemon.post_body("/send", given, evento);
        let detail = answer.problem(415, "media-type");
        assert!(detail.contains("application/json"), "{detail}");
    }
    for (query, named) in [
        ("?clave=a", "clave"),
        ("?key=a&key=b", "key"),
        ("?key=%ff", "key"),
    ] {
        let answer = daemon.post_body(&format!("/send{query}"), JSON, evento);
        let detail = answer.problem(400, "invalid-query");
        assert!(detail.contains(named) || detail.contains("%ff"), "{detail}");
    }
    let answer = daemon.get("/send");
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    daemon.get("/nowhere").problem(404, "not-found");
    assert!(read_topic(daemon.broker(), &setup.topic()).is_empty());

    for given in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            daemon.post_body("/send", given, evento).status,
            200,
            "{given}"
        );
    }
    let untyped = daemon.client().post(daemon.url("/send")).body(evento);
    let answer = Answer::from(untyped.send().expect("answered"));
    let detail = answer.problem(415, "media-type");
    assert!(detail.contains("Content-Type"), "{detail}");
}
