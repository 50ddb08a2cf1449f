//! All of a record is there for a handler to see, and comes through a chain of them as it was.

use std::fs;

use eventos_testkit::{Broker, Received, Setup, handler, header_list, headers, produce};
use rdkafka::producer::BaseRecord;

use super::{Ran, TIMESTAMP};
use crate::EVENTOS;

const KEY: &[u8] = b"k\xff\0";
const HEADERS: [(&str, Option<&[u8]>); 4] = [
    ("a", Some(b"1")),
    ("b", None),
    ("a", Some(b"\xfe")),
    ("", Some(b"")),
];
const EVENTO: &str = r#"{"id":9223372036854775808,"tipo":"headers","of":1.10}"#;

/// What `probe` tells of the record at offset 1.
fn seen(topic: &str, id: &str, tipo: &str, value: &str, integer: bool, tombstone: bool) -> String {
    format!(
        r#"id="{id}"; integer={integer}; tipo="{tipo}"; key="k\xff\x00"; value={value}; headers=[a="1", b=null, a="\xfe", =""]; timestamp=Some({TIMESTAMP}); log_append_time=false; tombstone={tombstone}; topic={topic}; partition=0; offset=1"#
    )
}

/// After a record without anything, one with everything, and this value.
fn handled(setup: Setup, value: Option<&str>) -> (Ran, Received) {
    let daemon = setup.start();
    let topic = setup.topic();
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let whole = record()
        .key(KEY)
        .headers(headers(&HEADERS))
        .timestamp(TIMESTAMP);
    let whole = match value {
        Some(value) => whole.payload(value.as_bytes()),
        None => whole,
    };
    produce(
        daemon.broker(),
        [record().payload(b"{\"id\":0,\"tipo\":\"good\"}"), whole],
    );
    daemon.wait_for_consumed(2);
    let ran = Ran { setup, daemon };
    let letter = ran.dead_letter();
    (ran, letter)
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
    let (ran, letter) = handled(setup, Some(EVENTO));
    let value = format!("\"{}\"", EVENTO.as_bytes().escape_ascii());
    let topic = ran.setup.topic();
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
    // The first puts a copy of the tombstone in its place, and the last tells what it sees.
    let more = "[handler.probe.config]\ntombstone = \"echo\"\n\
                [handler.last.config]\ntombstone = \"headers\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe"], more);
    let last = setup.dir.path().join("plugins/20-last.wasm");
    fs::copy(handler("probe"), last).expect("copied");
    let (ran, letter) = handled(setup, None);
    assert_eq!(ran.answers("replace"), 1.0);
    let expected = seen(&ran.setup.topic(), "", "", "null", false, true);
    assert_eq!(
        letter.header("__connect.errors.exception.message"),
        expected
    );
    assert_eq!(letter.header("eventos.handler"), "last");
    // A dead letter of a tombstone is one itself.
    assert_eq!((letter.key.as_deref(), letter.value), (Some(KEY), None));
    assert_eq!(letter.headers[..HEADERS.len()], header_list(&HEADERS));
}
