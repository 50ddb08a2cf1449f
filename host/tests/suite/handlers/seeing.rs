//! A handler sees every part of a record, and a chain of handlers leaves the record as it was.

use std::fs;

use eventos_testkit::{Broker, ReceivedRecord, Setup, handler, header_list, headers, produce};
use rdkafka::producer::BaseRecord;

use super::{Fixture, TIMESTAMP};
use crate::EVENTOS;

const KEY: &[u8] = b"k\xff\0";
const HEADERS: [(&str, Option<&[u8]>); 4] = [
    ("a", Some(b"1")),
    ("b", None),
    ("a", Some(b"\xfe")),
    ("", Some(b"")),
];
const EVENTO: &str = r#"{"id":9223372036854775808,"tipo":"headers","of":1.10}"#;

/// Returns the description by `probe` of the record at offset 1.
fn seen(topic: &str, id: &str, tipo: &str, value: &str, integer: bool, tombstone: bool) -> String {
    format!(
        r#"id="{id}"; integer={integer}; tipo="{tipo}"; key="k\xff\x00"; value={value}; headers=[a="1", b=null, a="\xfe", =""]; timestamp=Some({TIMESTAMP}); log_append_time=false; tombstone={tombstone}; topic={topic}; partition=0; offset=1"#
    )
}

/// Has the daemon handle a record with only a value, and then one with a key, headers and this value. Returns the dead letter of the
/// second.
fn handle(setup: Setup, value: Option<&str>) -> (Fixture, ReceivedRecord) {
    let daemon = setup.start();
    let topic = setup.topic();
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let full = record()
        .key(KEY)
        .headers(headers(&HEADERS))
        .timestamp(TIMESTAMP);
    let full = match value {
        Some(value) => full.payload(value.as_bytes()),
        None => full,
    };
    produce(
        daemon.broker(),
        [record().payload(b"{\"id\":0,\"tipo\":\"good\"}"), full],
    );
    daemon.wait_for_consumed(2);
    let fixture = Fixture { setup, daemon };
    let letter = fixture.dead_letter();
    (fixture, letter)
}

#[test]
fn a_handler_sees_all_of_a_record_with_the_broker_inside() {
    a_handler_sees_all_of_a_record(Broker::Embedded);
}

#[test]
fn a_handler_sees_all_of_a_record_with_kafka() {
    a_handler_sees_all_of_a_record(Broker::Kafka);
}

fn a_handler_sees_all_of_a_record(broker: Broker) {
    let setup = Setup::new(EVENTOS, broker, &["probe"], "");
    let (fixture, letter) = handle(setup, Some(EVENTO));
    let value = format!("\"{}\"", EVENTO.as_bytes().escape_ascii());
    let topic = fixture.setup.topic();
    let expected = seen(
        &topic,
        "9223372036854775808",
        "headers",
        &value,
        true,
        false,
    );
    assert_eq!(
        letter.header("__connect.errors.exception.message"),
        expected
    );
}

#[test]
fn what_a_handler_puts_on_is_what_the_next_one_sees() {
    // `probe` replaces the tombstone with a copy, and `last` rejects it with a description.
    let toml = "[handler.probe.config]\ntombstone = \"echo\"\n\
                [handler.last.config]\ntombstone = \"headers\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe"], toml);
    let last = setup.dir.path().join("plugins/20-last.wasm");
    fs::copy(handler("probe"), last).expect("the handler is copied");
    let (fixture, letter) = handle(setup, None);
    assert_eq!(fixture.outcomes("replace"), 1.0);
    let expected = seen(&fixture.setup.topic(), "", "", "null", false, true);
    assert_eq!(
        letter.header("__connect.errors.exception.message"),
        expected
    );
    assert_eq!(letter.header("eventos.handler"), "last");
    // The dead letter of a tombstone is a tombstone, too.
    assert_eq!((letter.key.as_deref(), letter.value), (Some(KEY), None));
    assert_eq!(letter.headers[..HEADERS.len()], header_list(&HEADERS));
}
