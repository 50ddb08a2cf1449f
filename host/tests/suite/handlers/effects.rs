//! The records that a handler emits: complete, in order, once, and only if the call counts.

use eventos_testkit::{Broker, ReceivedRecord, Setup, create_topic, header_list, read_topic};

use super::{Fixture, TIMESTAMP, evento};
use crate::EVENTOS;

#[test]
fn emitted_records_come_whole_in_order_and_once_with_the_broker_inside() {
    emitted_records_come_whole_in_order_and_once(Broker::Embedded);
}

#[test]
fn emitted_records_come_whole_in_order_and_once_with_kafka() {
    emitted_records_come_whole_in_order_and_once(Broker::Kafka);
}

/// The Eventos of the test below, by what they make the handler do.
const EMITTING: [&str; 7] = [
    "emit",
    "emit-reject",
    "good",
    "emit",
    "emit-panic",
    "emit-retry",
    "emit",
];

/// After a panic, the batch is handled again in parts. What the other Eventos emitted in the failed call is not emitted twice.
fn emitted_records_come_whole_in_order_and_once(broker: Broker) {
    // The name is unique because all tests share one Kafka.
    let topic = format!("alertas-{}", std::process::id());
    let toml = format!(
        "[handler.probe]\nproduce = [\"other\", {topic:?}]\nretries = 1\nconfig = {{ emit_to = {topic:?} }}\n"
    );
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &topic, 1);
    }
    let setup = Setup::new(EVENTOS, broker, &["probe", "store"], &toml);
    let eventos: Vec<_> = (0..)
        .zip(EMITTING)
        .map(|(i, tipo)| evento(i, tipo))
        .collect();
    let fixture = Fixture::on(setup, &eventos);
    assert_eq!(fixture.stored(), ["0", "2", "3", "6"]);
    let dead: Vec<_> = fixture
        .dead_letters()
        .iter()
        .map(|letter| {
            (
                letter.offset_of_source(),
                letter.header("eventos.attempts").to_owned(),
            )
        })
        .collect();
    assert_eq!(
        dead,
        [
            (1, "1".to_owned()),
            (4, "1".to_owned()),
            (5, "2".to_owned())
        ]
    );

    let emitted = read_topic(fixture.daemon.broker(), &topic);
    let mut emitted: Vec<_> = emitted.into_iter().map(ReceivedRecord::from).collect();
    // The built-in broker creates topics with several partitions, and the keys spread the records over them.
    emitted.sort_by_key(|record| record.text().to_owned());
    let headers = [("a", Some(&b"1"[..])), ("nothing", None), ("a", Some(b"2"))];
    let expected: Vec<_> = [0, 3, 6]
        .iter()
        .zip(&emitted)
        .map(|(&i, seen)| ReceivedRecord {
            partition: seen.partition,
            offset: seen.offset,
            key: Some(format!("key of {i}").into_bytes()),
            value: Some(eventos[i].clone().into_bytes()),
            headers: header_list(&headers),
            timestamp: Some(TIMESTAMP),
        })
        .collect();
    assert_eq!(emitted, expected);
    if broker == Broker::Kafka {
        assert!(
            emitted.is_sorted_by_key(|record| record.offset),
            "{emitted:?}"
        );
    }
}

#[test]
fn emitting_to_a_topic_that_is_not_permitted_is_a_failure() {
    let fixture = Fixture::new(
        "[handler.probe]\nproduce = [\"alertas\"]\n",
        &super::in_the_middle("emit-forbidden"),
    );
    assert_eq!(fixture.stored(), ["before", "after"]);
    let letter = fixture.dead_letter();
    let message =
        "emit.send: the topic forbidden is not permitted; add it to handler.probe.produce";
    super::assert_reason(&letter, "eventos.Invalid", message, "1");
}

#[test]
fn misuse_of_an_import_is_a_failure() {
    let toml = "[handler.probe]\nproduce = [\"alertas\"]\nconfig = { emit_to = \"alertas\" }\n";
    for (tipo, start) in [
        (
            "store-beyond",
            "store.append: there is no record 4294967295 in a batch of 1",
        ),
        ("emit-crooked", "emit.send: "),
    ] {
        let fixture = Fixture::new(toml, &super::in_the_middle(tipo));
        assert_eq!(fixture.stored(), ["before", "after"], "{tipo}");
        let letter = fixture.dead_letter();
        let message = letter.header("__connect.errors.exception.message");
        assert!(message.starts_with(start), "{message}");
        super::assert_reason(&letter, "eventos.Invalid", message, "1");
    }
}
