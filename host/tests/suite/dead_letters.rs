//! A record that is not a valid Evento does not stop the daemon. It goes to the dead-letter topic unchanged, with the reason in
//! additional headers.

use eventos_testkit::{Broker, ReceivedRecord, Setup, create_topic, header_list, headers, produce};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

/// A record that is not a valid Evento, and the reason in its dead letter.
struct Invalid {
    value: &'static [u8],
    class: &'static str,
    message: Message,
}

enum Message {
    Is(&'static str),
    /// The rest of the message comes from the parser.
    StartsWith(&'static str),
}

const INVALID: [Invalid; 9] = [
    Invalid {
        value: b"nonsense",
        class: "eventos.MalformedJson",
        message: Message::StartsWith("malformed JSON: expected"),
    },
    Invalid {
        value: br#"{"id":"cut","tipo":"sismo""#,
        class: "eventos.MalformedJson",
        message: Message::StartsWith("malformed JSON: EOF"),
    },
    Invalid {
        value: br#"{"id":"more","tipo":"sismo"} {}"#,
        class: "eventos.MalformedJson",
        message: Message::StartsWith("malformed JSON: trailing"),
    },
    Invalid {
        value: b"{\"id\":\"\xff\",\"tipo\":\"sismo\"}",
        class: "eventos.MalformedJson",
        message: Message::StartsWith("malformed JSON: invalid utf-8"),
    },
    Invalid {
        value: b"",
        class: "eventos.MalformedJson",
        message: Message::StartsWith("malformed JSON: EOF"),
    },
    Invalid {
        value: b"{}",
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: /id is missing, /tipo is missing"),
    },
    Invalid {
        value: br#"{"id":1.0,"tipo":""}"#,
        class: "eventos.InvalidEvento",
        message: Message::Is(
            "not an Evento: /id is neither a non-empty string nor an integer, \
             /tipo is not a non-empty string",
        ),
    },
    Invalid {
        value: b"[1,2]",
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: it is not a JSON object"),
    },
    Invalid {
        value: br#"{"id":"a","id":"b","tipo":"sismo"}"#,
        class: "eventos.InvalidEvento",
        message: Message::Is("not an Evento: /id stands 2 times"),
    },
];

/// Key and headers that are not valid UTF-8.
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

/// Partition of all records. Each invalid record lies between two valid Eventos.
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
    let good: Vec<String> = (0..=INVALID.len())
        .map(|i| format!(r#"{{"id":{i},"tipo":"good"}}"#))
        .collect();
    let record = || {
        BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(PARTITION)
            .timestamp(TIMESTAMP)
    };
    let mut records = Vec::new();
    for (good, invalid) in good.iter().zip(&INVALID) {
        records.push(record().payload(good.as_bytes()));
        let whole = record().key(KEY).headers(headers(&HEADERS));
        records.push(whole.payload(invalid.value));
    }
    // A tombstone, and a record without key and value.
    records.push(record().key(b"gone"));
    records.push(record());
    records.push(record().payload(good[INVALID.len()].as_bytes()));
    let count = u32::try_from(records.len()).expect("few");
    produce(daemon.broker(), records);

    daemon.wait_for_consumed(count);
    assert_eq!(
        daemon.messages(""),
        format!("[{}]", good.join(",")),
        "the valid Eventos are stored in order, and no tombstone is"
    );
    let letters = setup.read_dead_letters(&daemon);
    assert_eq!(
        letters.len(),
        INVALID.len(),
        "a tombstone is not a dead letter"
    );
    for (i, (letter, invalid)) in letters.iter().zip(&INVALID).enumerate() {
        assert_dead_letter(letter, invalid, &topic, 2 * i + 1);
    }
    assert_eq!(
        daemon.metric(r#"eventos_dead_letters_total{handler="none"}"#),
        Some(9.0)
    );
}

/// Checks a dead letter. The headers with the reason follow those of the record, which are unchanged.
fn assert_dead_letter(letter: &ReceivedRecord, invalid: &Invalid, topic: &str, offset: usize) {
    let text = String::from_utf8_lossy(invalid.value);
    assert_eq!(letter.key.as_deref(), Some(KEY), "{text}");
    assert_eq!(letter.value.as_deref(), Some(invalid.value), "{text}");
    assert_eq!(letter.timestamp, Some(TIMESTAMP), "{text}");
    let (original, added) = letter.headers.split_at(HEADERS.len());
    assert_eq!(original, header_list(&HEADERS), "{text}");
    let (partition, offset) = (PARTITION.to_string(), offset.to_string());
    let message = letter.header("__connect.errors.exception.message");
    match invalid.message {
        Message::Is(expected) => assert_eq!(message, expected, "{text}"),
        Message::StartsWith(expected) => {
            assert!(message.starts_with(expected), "{text}: {message}")
        }
    }
    let expected = [
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", &partition),
        ("__connect.errors.offset", &offset),
        ("__connect.errors.stage", "read"),
        ("__connect.errors.exception.class.name", invalid.class),
        ("__connect.errors.exception.message", message),
        ("__connect.errors.exception.stacktrace", ""),
        // It never reached a handler.
        ("eventos.attempts", "0"),
    ];
    let expected = expected.map(|(name, value)| (name, Some(value.as_bytes())));
    assert_eq!(added, header_list(&expected), "{text}");
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing_with_the_broker_inside() {
    // The built-in broker accepts batches of up to 10 MiB.
    a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(Broker::Embedded, 10_485_600);
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing_with_kafka() {
    // By default, a topic of Kafka accepts batches of up to 1,048,588 bytes.
    a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(Broker::Kafka, 1_048_400);
}

/// The record fits into its topic, but its dead letter with the additional headers does not. The dead letter leaves out what does not
/// fit, and says so.
fn a_dead_letter_that_is_too_large_for_its_topic_stops_nothing(broker: Broker, size: usize) {
    let setup = Setup::new(EVENTOS, broker, &["store"], "");
    let daemon = setup.start();
    let topic = setup.topic();
    let large = vec![b'x'; size];
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let own = [("a", Some(&b"1"[..]))];
    let headed = || headers(&own);
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
    let left_out = |letter: &ReceivedRecord| letter.headers.last().cloned();
    let expected = |parts: &str| Some(("eventos.left_out".to_owned(), Some(parts.into())));
    assert_eq!(left_out(&no_value), expected("value"));
    assert_eq!((no_value.key, no_value.value), (Some(b"k".to_vec()), None));
    assert_eq!(no_value.headers[..1], header_list(&own));
    assert_eq!((&nothing.key, &nothing.value), (&None, &None));
    assert_eq!(nothing.headers[0].0, "__connect.errors.topic");
    assert_eq!(left_out(&nothing), expected("key, value, headers"));
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
