//! What is no Evento stops nothing: a client produces whatever it likes, and what it produced is
//! found again, whole and with the reason, in the dead-letter topic.

use eventos_testkit::{Broker, Received, Setup, create_topic, header_list, headers, produce};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

/// A record that is no Evento, and what its dead letter says.
struct Bad {
    value: &'static [u8],
    class: &'static str,
    message: Message,
}

enum Message {
    Is(&'static str),
    /// The rest is a parser's business.
    Holds(&'static str),
}

const BAD: [Bad; 9] = [
    Bad {
        value: b"nonsense",
        class: "eventos.MalformedJson",
        message: Message::Holds("malformed JSON: expected"),
    },
    Bad {
        value: br#"{"id":"cut","tipo":"sismo""#,
        class: "eventos.MalformedJson",
        message: Message::Holds("malformed JSON: EOF"),
    },
    Bad {
        value: br#"{"id":"more","tipo":"sismo"} {}"#,
        class: "eventos.MalformedJson",
        message: Message::Holds("malformed JSON: trailing"),
    },
    Bad {
        value: b"{\"id\":\"\xff\",\"tipo\":\"sismo\"}",
        class: "eventos.MalformedJson",
        message: Message::Holds("malformed JSON: invalid utf-8"),
    },
    Bad {
        value: b"",
        class: "eventos.MalformedJson",
        message: Message::Holds("malformed JSON: EOF"),
    },
    Bad {
        value: b"{}",
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: /id is missing, /tipo is missing"),
    },
    Bad {
        value: br#"{"id":1.0,"tipo":""}"#,
        class: "eventos.InvalidEvento",
        message: Message::Is(
            "not an Evento: /id is neither a non-empty string nor an integer, \
             /tipo is not a non-empty string",
        ),
    },
    Bad {
        value: b"[1,2]",
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: it is not a JSON object"),
    },
    Bad {
        value: br#"{"id":"a","id":"b","tipo":"sismo"}"#,
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: /id stands 2 times"),
    },
];

/// Bytes that are no text, in the key and in a header.
const KEY: &[u8] = b"key \xff\x00";
const HEADERS: [(&str, Option<&[u8]>); 6] = [
    ("b", Some(b"1")),
    ("a", None),
    ("b", Some(b"\xfe\xff")),
    ("a", Some(b"")),
    ("", Some(b"no name")),
    ("__connect.errors.topic", Some(b"from another life")),
];
const TIMESTAMP: i64 = 1_700_000_000_000;

/// Where all of it is produced to; the good ones lie around each of the bad.
const PARTITION: i32 = 2;

#[test]
fn what_is_no_evento_is_dead_lettered_whole_with_the_broker_inside() {
    what_is_no_evento_is_dead_lettered_whole(Broker::Embedded);
}

#[test]
fn what_is_no_evento_is_dead_lettered_whole_with_kafka() {
    what_is_no_evento_is_dead_lettered_whole(Broker::Kafka);
}

fn what_is_no_evento_is_dead_lettered_whole(broker: Broker) {
    let setup = Setup::new(EVENTOS, broker, &["store"], "");
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &setup.topic(), 4);
    }
    let daemon = setup.start();
    let topic = setup.topic();
    let good: Vec<String> = (0..=BAD.len())
        .map(|i| format!(r#"{{"id":{i},"tipo":"good"}}"#))
        .collect();
    let record = || {
        BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(PARTITION)
            .timestamp(TIMESTAMP)
    };
    let mut records = Vec::new();
    for (good, bad) in good.iter().zip(&BAD) {
        records.push(record().payload(good.as_bytes()));
        let whole = record().key(KEY).headers(headers(&HEADERS));
        records.push(whole.payload(bad.value));
    }
    // A tombstone, and then a record without anything.
    records.push(record().key(b"gone"));
    records.push(record());
    records.push(record().payload(good[BAD.len()].as_bytes()));
    let count = u32::try_from(records.len()).expect("few");
    produce(daemon.broker(), records);

    daemon.wait_for_consumed(count);
    assert_eq!(
        daemon.messages(""),
        format!("[{}]", good.join(",")),
        "the good ones, and no tombstone, are stored in order"
    );
    let letters = setup.read_dead_letters(&daemon);
    assert_eq!(letters.len(), BAD.len(), "no tombstone is a dead letter");
    for (i, (letter, bad)) in letters.iter().zip(&BAD).enumerate() {
        assert_dead(letter, bad, &topic, 2 * i + 1);
    }
    assert_eq!(
        daemon.metric(r#"eventos_dead_letters_total{handler="none"}"#),
        Some(9.0)
    );
}

/// A dead letter's own headers follow those that it had, which stay as they were.
fn assert_dead(letter: &Received, bad: &Bad, topic: &str, offset: usize) {
    let told = String::from_utf8_lossy(bad.value);
    assert_eq!(letter.key.as_deref(), Some(KEY), "{told}");
    assert_eq!(letter.value.as_deref(), Some(bad.value), "{told}");
    assert_eq!(letter.timestamp, Some(TIMESTAMP), "{told}");
    let (original, added) = letter.headers.split_at(HEADERS.len());
    assert_eq!(original, header_list(&HEADERS), "{told}");
    let (partition, offset) = (PARTITION.to_string(), offset.to_string());
    let said = letter.header("__connect.errors.exception.message");
    match bad.message {
        Message::Is(text) => assert_eq!(said, text, "{told}"),
        Message::Holds(text) => assert!(said.starts_with(text), "{told}: {said}"),
    }
    let expected = [
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", &partition),
        ("__connect.errors.offset", &offset),
        ("__connect.errors.stage", "read"),
        ("__connect.errors.exception.class.name", bad.class),
        ("__connect.errors.exception.message", said),
        ("__connect.errors.exception.stacktrace", ""),
        // It never came to a handler.
        ("eventos.attempts", "0"),
    ];
    let expected = expected.map(|(name, value)| (name, Some(value.as_bytes())));
    assert_eq!(added, header_list(&expected), "{told}");
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing_with_the_broker_inside() {
    // The largest batch that it takes has 10 MiB.
    a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(Broker::Embedded, 10_485_600);
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing_with_kafka() {
    // The largest batch of a topic has 1,048,588 bytes, if nobody says otherwise.
    a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(Broker::Kafka, 1_048_400);
}

/// The record fits into its topic, but not with what its dead letter has to tell; it goes without
/// what does not fit, and tells where that is.
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(broker: Broker, size: usize) {
    let setup = Setup::new(EVENTOS, broker, &["store"], "");
    let daemon = setup.start();
    let topic = setup.topic();
    let large = vec![b'x'; size];
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let has = [("a", Some(&b"1"[..]))];
    let headed = || headers(&has);
    produce(
        daemon.broker(),
        [
            record().payload(br#"{"id":0,"tipo":"good"}"#),
            record().key(b"k").headers(headed()).payload(&large),
            record().key(&large[9..]).headers(headed()).payload(b"{}"),
            record().payload(&large[..size / 2]),
            record().payload(br#"{"id":1,"tipo":"good"}"#),
        ],
    );
    daemon.wait_for_consumed(5);
    let stored = daemon.wait_for_messages(2);
    assert_eq!([&stored[0]["id"], &stored[1]["id"]], [0, 1]);

    let [no_value, nothing, whole] =
        <[_; 3]>::try_from(setup.read_dead_letters(&daemon)).expect("three dead letters");
    let left_out = |letter: &Received| letter.headers.last().cloned();
    let said = |text: &str| Some(("eventos.left_out".to_owned(), Some(text.into())));
    assert_eq!(left_out(&no_value), said("value"));
    assert_eq!((no_value.key, no_value.value), (Some(b"k".to_vec()), None));
    assert_eq!(no_value.headers[..1], header_list(&has));
    assert_eq!((&nothing.key, &nothing.value), (&None, &None));
    assert_eq!(nothing.headers[0].0, "__connect.errors.topic");
    assert_eq!(left_out(&nothing), said("key, value, headers"));
    assert!(whole.value.as_deref() == Some(&large[..size / 2]));
    assert!(
        whole
            .headers
            .iter()
            .all(|(name, _)| name != "eventos.left_out")
    );
    let offsets = [nothing.offset_of_source(), whole.offset_of_source()];
    assert_eq!(offsets, [2, 3]);
}
