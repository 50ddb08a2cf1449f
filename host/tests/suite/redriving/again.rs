//! `POST /dead-letters/redrive`: the records come back whole, with a history.

use eventos_testkit::header_list;

use super::*;

#[test]
fn a_redriven_record_is_as_it_was_and_is_handled_again_with_the_broker_inside() {
    a_redriven_record_is_as_it_was_and_is_handled_again(Broker::Embedded);
}

#[test]
fn a_redriven_record_is_as_it_was_and_is_handled_again_with_kafka() {
    a_redriven_record_is_as_it_was_and_is_handled_again(Broker::Kafka);
}

fn a_redriven_record_is_as_it_was_and_is_handled_again(broker: Broker) {
    let ran = Ran::new(broker);
    let (topic, value) = (ran.setup.topic(), rejected("a"));
    let own = [
        ("a", Some(&b"\xff"[..])),
        ("eventos.redriven", Some(b"3")),
        ("__connect.errors.topic", None),
        ("a", None),
    ];
    let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(2).key(b"k");
    let record = record.headers(headers(&own)).timestamp(TIMESTAMP);
    produce(ran.daemon.broker(), [record.payload(value.as_bytes())]);
    ran.wait_for_letters(1);

    let dry = ran.redrive("?handler=probe&dry_run=true");
    assert_eq!((counts(&dry), &dry["dry_run"]), ([1, 0, 0], &true.into()));
    assert_eq!(dry["letters"][0]["status"], "would_be_redriven");
    assert_eq!(
        ran.redrive("?handler=other").get("redriven"),
        Some(&0.into())
    );
    assert_eq!(ran.records().len(), 1, "neither sends anything");

    // It fails a second time, and its letter still tells of the first.
    let answer = ran.redrive("?handler=probe");
    assert_eq!(counts(&answer), [1, 0, 0]);
    assert_eq!(answer["letters"][0]["status"], "redriven");
    assert_eq!(
        answer["letters"][0]["to"],
        serde_json::json!({"partition": 2, "offset": 1})
    );
    ran.wait_for_letters(2);
    let letters = ran.letters("");
    let second = letters.iter().find(|letter| letter["redriven"] == 1);
    let second = second.expect("one was redriven");
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

    ran.mend();
    let answer = ran.redrive(&format!("?positions={}", place(second)));
    assert_eq!(counts(&answer), [1, 0, 0]);
    let stored = ran.daemon.wait_for_messages(1);
    assert_eq!(stored[0]["id"], "a");
    let records = ran.records();
    let [first, again, last] = <[_; 3]>::try_from(records).expect("three records");
    for record in [&again, &last] {
        assert_eq!(record.partition, 2);
        assert_eq!((&record.key, &record.value), (&first.key, &first.value));
        assert_eq!(record.timestamp, Some(TIMESTAMP));
        assert_eq!(record.headers[..own.len()], header_list(&own));
    }
    assert_eq!(again.header("eventos.redriven"), "1");
    assert_eq!(last.header("eventos.redriven"), "2");
    for (name, text) in [("1.offset", "0"), ("2.offset", "1"), ("2.handler", "probe")] {
        assert_eq!(last.header(&format!("eventos.history.{name}")), text);
    }
    ran.wait_for_letters(2);
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
    let ran = Ran::new(broker);
    let (topic, dead) = (ran.setup.topic(), ran.setup.dead_letters());
    let of = |topic: &'static str, more: Option<&'static str>| {
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
        letter().payload(b"foreign").headers(of("elsewhere", None)),
        letter().headers(of(own, Some("value"))),
        letter()
            .payload(br#"{"id":"x","tipo":"t"}"#)
            .headers(of(own, None)),
        letter().payload(b"the same").headers(of(own, None)),
    ];
    produce(ran.daemon.broker(), letters);
    ran.wait_for_letters(5);

    let answer = ran.redrive("?all=true");
    assert_eq!(counts(&answer), [1, 4, 0], "{answer}");
    let fates = answer["letters"].as_array().expect("an array");
    let fate = |i: usize| {
        assert_eq!(place(&fates[i]), format!("0:{i}"));
        match fates[i]["why"].as_str() {
            Some(why) => why,
            None => fates[i]["status"].as_str().expect("a text"),
        }
    };
    for (i, says) in [
        "does not say which record",
        "from the topic elsewhere",
        "is without value; the record is in",
        "redriven",
        "the same record as the letter 0:3",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(fate(i).contains(says), "{i}: {}", fate(i));
    }
    let answer = ran.redrive("?positions=0:3,0:3,0:5,9:0&dry_run=true");
    assert_eq!(counts(&answer), [1, 2, 0], "{answer}");
    let why = &answer["letters"][1]["why"];
    assert_eq!(why, "there is no letter at this position");
    let stored = ran.daemon.wait_for_messages(1);
    assert_eq!(stored[0]["id"], "x");
    assert_eq!(ran.records().len(), 1);
}

#[test]
fn pages_of_a_redrive_send_each_once_and_in_the_order_of_the_sources() {
    let ran = Ran::new(Broker::Embedded);
    let values: Vec<_> = (0..25).map(|i| rejected(&i.to_string())).collect();
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    ran.produce(&values, 25);
    ran.mend();
    let mut query = "?all=true&limit=10".to_owned();
    let mut sent = 0;
    loop {
        let answer = ran.redrive(&query);
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
    ran.daemon.wait_for_messages(25);
    // One call's are in order.
    let answer = ran.redrive("?all=true");
    assert_eq!(counts(&answer), [25, 0, 0]);
    let records = ran.records();
    let again: Vec<_> = records[50..].iter().map(Received::text).collect();
    let first: Vec<_> = records[..25].iter().map(Received::text).collect();
    assert_eq!(again, first);
}
