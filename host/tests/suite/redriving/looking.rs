//! `GET /dead-letters`: the fields of a dead letter, filters and pages.

use std::collections::BTreeSet;

use reqwest::Method;

use super::*;

#[test]
fn a_letter_shows_its_record_and_its_reason_with_the_broker_inside() {
    a_letter_shows_its_record_and_its_reason(Broker::Embedded);
}

#[test]
fn a_letter_shows_its_record_and_its_reason_with_kafka() {
    a_letter_shows_its_record_and_its_reason(Broker::Kafka);
}

fn a_letter_shows_its_record_and_its_reason(broker: Broker) {
    let fixture = Fixture::new(broker);
    assert_eq!(fixture.letters(""), [] as [Value; 0]);
    let (topic, value) = (fixture.setup.topic(), rejected("a"));
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(1);
    let own = [
        ("a", Some(&b"1"[..])),
        ("__connect.errors.topic", Some(b"from another life")),
        ("a", None),
        ("b", Some(b"\xff")),
    ];
    let records = [
        record()
            .key(b"k")
            .headers(headers(&own))
            .timestamp(TIMESTAMP)
            .payload(value.as_bytes()),
        record().key(b"\xfe").payload(b"\xff{"),
    ];
    produce(fixture.daemon.broker(), records);
    fixture.wait_for_letters(2);

    let [letter] = <[_; 1]>::try_from(fixture.letters("?handler=probe")).expect("one dead letter");
    let mut reason = letter["reason"].clone();
    let digest = reason["digest"].take();
    assert_eq!(digest.as_str().map(str::len), Some(64), "{digest}");
    assert_eq!(
        reason,
        serde_json::json!({
            "topic": topic, "partition": 1, "offset": 0, "stage": "handle", "class": "eventos.Reject",
            "message": "a is asked to be rejected", "stacktrace": "", "attempts": 1, "handler": "probe",
            "digest": null, "left_out": null,
        })
    );
    assert_eq!(letter["key"], "k");
    assert_eq!(letter["value"], value);
    assert_eq!(letter["timestamp"], TIMESTAMP);
    let shown = serde_json::json!([
        ["a", "1"],
        ["__connect.errors.topic", "from another life"],
        ["a", null],
        ["b", {"base64": "/w=="}],
    ]);
    assert_eq!(letter["headers"], shown);
    assert_eq!(letter["redriven"], 0);

    let [other] = <[_; 1]>::try_from(fixture.letters("?class=eventos.MalformedJson"))
        .expect("one dead letter");
    assert_eq!(other["key"], serde_json::json!({"base64": "/g=="}));
    assert_eq!(other["value"], serde_json::json!({"base64": "/3s="}));
    assert_eq!(other["reason"]["stage"], "read");
    assert_eq!(other["reason"]["handler"], Value::Null);
    // The position that it shows leads to it.
    let there = fixture.letters(&format!("?positions={}", position(&other)));
    assert_eq!(there, [other]);
}

#[test]
fn filters_choose_and_pages_neither_miss_nor_repeat_with_the_broker_inside() {
    filters_choose_and_pages_neither_miss_nor_repeat(Broker::Embedded);
}

#[test]
fn filters_choose_and_pages_neither_miss_nor_repeat_with_kafka() {
    filters_choose_and_pages_neither_miss_nor_repeat(Broker::Kafka);
}

fn filters_choose_and_pages_neither_miss_nor_repeat(broker: Broker) {
    let fixture = Fixture::new(broker);
    let values: Vec<_> = (0..10).map(|i| rejected(&format!("r{i}"))).collect();
    let mut values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    values.push(b"junk");
    fixture.produce(&values, 11);

    let offsets = |query: &str| {
        let letters = fixture.letters(query);
        let offset = |letter: &Value| letter["reason"]["offset"].as_i64().expect("an offset");
        letters.iter().map(offset).collect::<BTreeSet<_>>()
    };
    let topic = fixture.setup.topic();
    let all: BTreeSet<_> = (0..=10).collect();
    for (query, expected) in [
        (String::new(), all.clone()),
        ("?handler=probe".to_owned(), (0..10).collect()),
        ("?handler=store".to_owned(), BTreeSet::new()),
        ("?class=eventos.MalformedJson".to_owned(), [10].into()),
        (format!("?topic={topic}&partition=0"), all.clone()),
        (format!("?topic={topic}&partition=1"), BTreeSet::new()),
        ("?topic=other".to_owned(), BTreeSet::new()),
        ("?from_offset=3&to_offset=5".to_owned(), [3, 4, 5].into()),
        ("?id=r7".to_owned(), [7].into()),
        (format!("?since={}", TIMESTAMP + 8), [8, 9, 10].into()),
        (
            "?since=2023-11-14T22:13:20.001Z&until=2023-11-14T22:13:20.003Z".to_owned(),
            [1, 2].into(),
        ),
    ] {
        assert_eq!(offsets(&query), expected, "{query}");
    }

    let mut pages = Vec::new();
    let mut path = "/dead-letters?handler=probe&limit=3".to_owned();
    loop {
        let answer = fixture.daemon.get(&path);
        let page = answer.json();
        let page = page.as_array().expect("an array");
        assert!(page.len() <= 3, "{page:?}");
        pages.extend(page.iter().map(position));
        let Some(next) = answer.next_page() else {
            break;
        };
        path = next;
    }
    assert_eq!(pages.len(), 10);
    assert_eq!(pages.iter().collect::<BTreeSet<_>>().len(), 10, "{pages:?}");
    let whole = fixture.letters("?handler=probe");
    assert_eq!(pages, whole.iter().map(position).collect::<Vec<_>>());
}

#[test]
fn what_is_asked_wrongly_or_by_another_site_is_refused() {
    let fixture = Fixture::new(Broker::Embedded);
    for (method, path, says) in [
        (
            Method::GET,
            "/dead-letters?handlr=x",
            "unknown query parameter `handlr`",
        ),
        (Method::GET, "/dead-letters?limit=0", "from 1 to 1000"),
        (Method::GET, "/dead-letters?since=monday", "2026-01-31T12"),
        (Method::GET, "/dead-letters?positions=0", "PARTITION:OFFSET"),
        (Method::POST, "/dead-letters/redrive", "all=true"),
        (
            Method::POST,
            "/dead-letters/redrive?all=true&id=1&dry_run=yes",
            "dry_run",
        ),
    ] {
        let answer = match method {
            Method::GET => fixture.daemon.get(path),
            _ => fixture.daemon.post(path),
        };
        let problem = answer.assert_status(400).json();
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(says), "{path}: {detail}");
    }
    let answer = fixture.daemon.get("/dead-letters/redrive?all=true");
    answer.assert_status(405);
    for (method, path) in [
        (Method::GET, "/dead-letters"),
        (Method::POST, "/dead-letters/redrive?all=true"),
    ] {
        let request = fixture.daemon.request(method, path);
        let request = request.header("origin", "http://elsewhere.example");
        let answer = request.send().expect("the daemon answers");
        assert_eq!(answer.status(), 403);
    }
}
