//! `POST /dead-letters/redrive`: the records are produced again, with a history of their failures.

use eventos_testkit::{alter_topic, header_list};

use super::*;

#[test]
fn a_redriven_record_is_as_it_was_and_is_handled_again_with_the_broker_inside() {
    a_redriven_record_is_as_it_was_and_is_handled_again(Broker::Embedded);
}

#[test]
fn a_redriven_record_is_as_it_was_and_is_handled_again_with_kafka() {
    a_redriven_record_is_as_it_was_and_is_handled_again(Broker::Kafka);
}

/// Checks that both copies of the first record have all that it had, and the history of its failures.
fn assert_as_it_was(records: &[ReceivedRecord], own: &[(&str, Option<&[u8]>)]) {
    let [first, again, last] = records else {
        panic!("three records: {records:?}");
    };
    for record in [again, last] {
        assert_eq!(record.partition, 2);
        assert_eq!((&record.key, &record.value), (&first.key, &first.value));
        assert_eq!(record.timestamp, Some(TIMESTAMP));
        assert_eq!(record.headers[..own.len()], header_list(own));
    }
    assert_eq!(again.header("eventos.redriven"), "1");
    assert_eq!(last.header("eventos.redriven"), "2");
    for (name, text) in [("1.offset", "0"), ("2.offset", "1"), ("2.handler", "probe")] {
        assert_eq!(last.header(&format!("eventos.history.{name}")), text);
    }
}

fn a_redriven_record_is_as_it_was_and_is_handled_again(broker: Broker) {
    let fixture = Fixture::new(broker);
    let (topic, value) = (fixture.setup.topic(), rejected("a"));
    let own = [
        ("a", Some(&b"\xff"[..])),
        ("eventos.redriven", Some(b"3")),
        ("__connect.errors.topic", None),
        ("a", None),
    ];
    let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(2).key(b"k");
    let record = record.headers(headers(&own)).timestamp(TIMESTAMP);
    produce(fixture.daemon.broker(), [record.payload(value.as_bytes())]);
    fixture.wait_for_letters(1);

    let dry = fixture.redrive("?handler=probe&dry_run=true");
    assert_eq!((counts(&dry), &dry["dry_run"]), ([1, 0, 0], &true.into()));
    assert_eq!(dry["letters"][0]["status"], "would_be_redriven");
    assert_eq!(
        fixture.redrive("?handler=other").get("redriven"),
        Some(&0.into())
    );
    assert_eq!(
        fixture.records().len(),
        1,
        "neither of them produces anything"
    );

    // The record fails again, and the second dead letter still has the reason of the first.
    let answer = fixture.redrive("?handler=probe");
    assert_eq!(counts(&answer), [1, 0, 0]);
    assert_eq!(answer["letters"][0]["status"], "redriven");
    assert_eq!(
        answer["letters"][0]["to"],
        serde_json::json!({"partition": 2, "offset": 1})
    );
    fixture.wait_for_letters(2);
    let letters = fixture.letters("");
    let second = letters.iter().find(|letter| letter["redriven"] == 1);
    let second = second.expect("a redriven dead letter");
    assert_eq!(second["reason"]["offset"], 1);
    let history = second["history"].as_array().expect("an array");
    assert_eq!(history.len(), 1);
    assert_eq!(
        (&history[0]["n"], &history[0]["offset"]),
        (&1.into(), &0.into())
    );
    assert_eq!(history[0]["message"], "a is asked to be rejected");
    assert_eq!(history[0]["class"], second["reason"]["class"]);
    assert_eq!(second["headers"].as_array().map(Vec::len), Some(own.len()));

    fixture.remove_probe();
    let answer = fixture.redrive(&format!("?positions={}", position(second)));
    assert_eq!(counts(&answer), [1, 0, 0]);
    let stored = fixture.daemon.wait_for_messages(1);
    assert_eq!(stored[0]["id"], "a");
    assert_as_it_was(&fixture.records(), &own);
    fixture.wait_for_letters(2);
}

#[test]
fn what_cannot_be_redriven_is_skipped_and_says_why_with_the_broker_inside() {
    what_cannot_be_redriven_is_skipped_and_says_why(Broker::Embedded);
}

#[test]
fn what_cannot_be_redriven_is_skipped_and_says_why_with_kafka() {
    what_cannot_be_redriven_is_skipped_and_says_why(Broker::Kafka);
}

fn what_cannot_be_redriven_is_skipped_and_says_why(broker: Broker) {
    let fixture = Fixture::new(broker);
    let (topic, dead) = (fixture.setup.topic(), fixture.setup.dead_letter_topic());
    let reason = |topic: &'static str, more: Option<&'static str>| {
        let mut all = vec![
            ("__connect.errors.topic", Some(topic.as_bytes())),
            ("__connect.errors.partition", Some(&b"0"[..])),
            ("__connect.errors.offset", Some(b"7")),
        ];
        all.extend(more.map(|parts| ("eventos.left_out", Some(parts.as_bytes()))));
        headers(&all)
    };
    let own: &'static str = topic.clone().leak();
    let letter = || BaseRecord::<[u8], [u8]>::to(&dead).partition(0);
    let letters = [
        letter().payload(b"no letter"),
        letter()
            .payload(b"foreign")
            .headers(reason("elsewhere", None)),
        letter().headers(reason(own, Some("value"))),
        letter()
            .payload(br#"{"id":"x","tipo":"t"}"#)
            .headers(reason(own, None)),
        letter().payload(b"the same").headers(reason(own, None)),
    ];
    produce(fixture.daemon.broker(), letters);
    fixture.wait_for_letters(5);

    let answer = fixture.redrive("?all=true");
    assert_eq!(counts(&answer), [1, 4, 0], "{answer}");
    let outcomes = answer["letters"].as_array().expect("an array");
    let outcome = |i: usize| {
        assert_eq!(position(&outcomes[i]), format!("0:{i}"));
        match outcomes[i]["why"].as_str() {
            Some(why) => why,
            None => outcomes[i]["status"].as_str().expect("a text"),
        }
    };
    for (i, says) in [
        "does not say which record",
        "from the topic elsewhere",
        "the letter lacks the value of its record; replay the record instead: topic ",
        "redriven",
        "the same record as the letter 0:3",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(outcome(i).contains(says), "{i}: {}", outcome(i));
    }
    let answer = fixture.redrive("?positions=0:3,0:3,0:5,9:0&dry_run=true");
    assert_eq!(counts(&answer), [1, 2, 0], "{answer}");
    let why = &answer["letters"][1]["why"];
    assert_eq!(why, "there is no letter at this position");
    let stored = fixture.daemon.wait_for_messages(1);
    assert_eq!(stored[0]["id"], "x");
    assert_eq!(fixture.records().len(), 1);
}

#[test]
fn a_record_with_headers_too_large_for_its_topic_fails_alone_with_the_broker_inside() {
    a_record_with_headers_too_large_for_its_topic_fails_alone(Broker::Embedded);
}

#[test]
fn a_record_with_headers_too_large_for_its_topic_fails_alone_with_kafka() {
    a_record_with_headers_too_large_for_its_topic_fails_alone(Broker::Kafka);
}

/// The limit of the topic was lowered after the record failed. The daemon does not try smaller and smaller batches for it,
/// which would slow down everything that is sent later.
fn a_record_with_headers_too_large_for_its_topic_fails_alone(broker: Broker) {
    let fixture = Fixture::new(broker);
    let (topic, dead) = (fixture.setup.topic(), fixture.setup.dead_letter_topic());
    let mut random = fastrand::Rng::with_seed(1);
    let incompressible: Vec<_> = (0..300_000).map(|_| random.u8(..)).collect();
    let letter = headers(&[
        ("trace", Some(&incompressible)),
        ("__connect.errors.topic", Some(topic.as_bytes())),
        ("__connect.errors.partition", Some(b"0")),
        ("__connect.errors.offset", Some(b"7")),
    ]);
    let letter = BaseRecord::<[u8], [u8]>::to(&dead)
        .partition(0)
        .payload(br#"{"id":"x","tipo":"t"}"#)
        .headers(letter);
    let servers = fixture.daemon.broker();
    alter_topic(servers, &topic, &[("max.message.bytes", "100000")]);
    produce(servers, [letter]);
    fixture.wait_for_letters(1);

    let answer = fixture.daemon.post("/dead-letters/redrive?all=true");
    let answer = answer.assert_status(503).json();
    assert_eq!(counts(&answer), [0, 0, 1], "{answer}");
    let problem = &answer["letters"][0]["problem"]["type"];
    assert_eq!(problem, "urn:eventos:problem:too-large");
    // Batches begin at 1 MB, and the fourth half of that is less than what the topic accepts.
    let log = fixture.daemon.log();
    let shrunk = log.matches("sending smaller ones").count();
    assert!((1..=4).contains(&shrunk), "{log}");
}

#[test]
fn pages_of_a_redrive_send_each_once_and_in_the_order_of_the_sources() {
    let fixture = Fixture::new(Broker::Embedded);
    let values: Vec<_> = (0..25).map(|i| rejected(&i.to_string())).collect();
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    fixture.produce(&values, 25);
    fixture.remove_probe();
    let mut query = "?all=true&limit=10".to_owned();
    let mut sent = 0;
    loop {
        let answer = fixture.redrive(&query);
        let [redriven, 0, 0] = counts(&answer) else {
            panic!("{answer}");
        };
        sent += redriven;
        if answer["more"] == false {
            break;
        }
        let cursor = |name| answer[name].as_str().expect("a cursor").to_owned();
        let (after, before) = (cursor("after"), cursor("before"));
        query = format!("?all=true&limit=10&after={after}&before={before}");
    }
    assert_eq!(sent, 25);
    fixture.daemon.wait_for_messages(25);
    // The records of one call are in the order of their sources.
    let answer = fixture.redrive("?all=true");
    assert_eq!(counts(&answer), [25, 0, 0]);
    let records = fixture.records();
    let again: Vec<_> = records[50..].iter().map(ReceivedRecord::text).collect();
    let first: Vec<_> = records[..25].iter().map(ReceivedRecord::text).collect();
    assert_eq!(again, first);
}
