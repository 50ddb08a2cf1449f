//! A component that uses only the standard `wasi:messaging` runs like any other handler. Its name is `probe` here, too.

use std::fs;

use eventos_testkit::{
    Broker, ReceivedRecord, Setup, handler, header_list, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use sha2::{Digest, Sha256};

use super::{Fixture, TIMESTAMP, assert_reason, evento, in_the_middle};
use crate::EVENTOS;

fn setup(toml: &str) -> Setup {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let file = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler("probe-messaging"), file).expect("the handler is copied");
    setup
}

/// Permits the topic that the handler emits to, and one retry.
const CONFIG: &str = "[handler.probe]\nproduce = [\"alertas\"]\nretries = 1\n";

fn run(toml: &str, tipos: &[&str]) -> Fixture {
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    Fixture::on(setup(toml), &eventos)
}

/// Reads the topic that the handler emits to.
fn emitted(fixture: &Fixture) -> Vec<ReceivedRecord> {
    let emitted = read_topic(fixture.daemon.broker(), "alertas");
    emitted.into_iter().map(ReceivedRecord::from).collect()
}

#[test]
fn what_it_handles_goes_on_in_order() {
    let fixture = run("", &["good"; 300]);
    let ids: Vec<_> = (0..300).map(|i| i.to_string()).collect();
    assert_eq!(fixture.stored(), ids);
    assert_eq!(fixture.outcomes("pass"), 300.0);
}

#[test]
fn it_sees_all_of_a_record_that_is_text() {
    let setup = setup("");
    let daemon = setup.start();
    let topic = setup.topic();
    let list = [
        ("a", Some(&b"1"[..])),
        ("null", None),
        ("binary", Some(b"\xfe")),
        ("a", Some(b"2")),
    ];
    let value = evento("it", "seen");
    let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let record = record.key(b"k").payload(value.as_bytes());
    let record = record.headers(headers(&list)).timestamp(TIMESTAMP);
    produce(daemon.broker(), [record]);
    daemon.wait_for_consumed(1);
    let letter = Fixture { setup, daemon }.dead_letter();
    let seen = format!(
        "Some(\"{topic}\") Some(\"application/json\") kafka.key=k kafka.partition=0 kafka.offset=0 \
         kafka.timestamp={TIMESTAMP} a=1 a=2"
    );
    assert_reason(&letter, "eventos.Reject", &seen, "1");
    let file = fs::read(handler("probe-messaging")).expect("the file can be read");
    let digest = format!("{:x}", Sha256::digest(file));
    assert_eq!(letter.header("eventos.handler.digest"), digest);
}

/// Messages from a call that failed do not count, nor do those for a record that is rejected.
#[test]
fn what_it_sends_is_emitted_once_and_only_if_it_counts() {
    let tipos = ["emit", "emit-error", "good", "emit-panic", "forward"];
    let setup = setup(CONFIG);
    let daemon = setup.start();
    let topic = setup.topic();
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let list = [("h", Some(&b"1"[..])), ("null", None)];
    let records = eventos.iter().map(|evento| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        let record = record.key(b"k\xff").payload(evento.as_bytes());
        record.headers(headers(&list)).timestamp(TIMESTAMP)
    });
    produce(daemon.broker(), records);
    daemon.wait_for_consumed(5);
    let fixture = Fixture { setup, daemon };
    assert_eq!(fixture.stored(), ["0", "2", "4"]);
    let dead = fixture.dead_letters();
    let dead: Vec<_> = dead.iter().map(ReceivedRecord::offset_of_source).collect();
    assert_eq!(dead, [1, 3]);

    let emitted = emitted(&fixture);
    let [made, forwarded] = &emitted[..] else {
        panic!("{emitted:?}");
    };
    assert_eq!(made.text(), "made here");
    let list = [
        ("content-type", Some(&b"text/plain"[..])),
        ("b", Some(b"1")),
        ("a", Some(b"3")),
    ];
    assert_eq!(made.headers, header_list(&list));
    assert_eq!(forwarded.text(), eventos[4]);
    let list = [
        ("content-type", Some(&b"application/json"[..])),
        ("h", Some(b"1")),
    ];
    assert_eq!(forwarded.headers, header_list(&list));
    for emitted in [made, forwarded] {
        assert_eq!(emitted.key.as_deref(), Some(&b"k\xff"[..]));
        assert!(emitted.timestamp > Some(TIMESTAMP), "{emitted:?}");
    }
}

#[test]
fn sending_to_a_topic_that_is_not_permitted_is_an_error_that_says_so() {
    let fixture = Fixture::on(setup(CONFIG), &in_the_middle("emit-forbidden"));
    assert_eq!(fixture.stored(), ["before", "after"]);
    let message =
        "permission denied: the topic forbidden is not permitted; add it to handler.probe.produce";
    assert_reason(&fixture.dead_letter(), "eventos.Reject", message, "1");
}

#[test]
fn errors_that_may_pass_are_retried_and_others_rejected() {
    for (tipo, class, message, attempts) in [
        ("timeout", "eventos.Retry", "timeout", "2"),
        ("connection", "eventos.Retry", "connection: gone", "2"),
        (
            "denied",
            "eventos.Reject",
            "permission denied: not you",
            "1",
        ),
        ("other", "eventos.Reject", "no good", "1"),
        (
            "request",
            "eventos.Reject",
            "a handler cannot wait for replies; use producer.send",
            "1",
        ),
        (
            "reply",
            "eventos.Reject",
            "an Evento names no topic for replies; use producer.send",
            "1",
        ),
    ] {
        let fixture = Fixture::on(setup(CONFIG), &in_the_middle(tipo));
        assert_eq!(fixture.stored(), ["before", "after"], "{tipo}");
        assert_reason(&fixture.dead_letter(), class, message, attempts);
        assert_eq!(emitted(&fixture), [], "{tipo}");
    }
}

#[test]
fn a_panic_or_a_broken_limit_among_many_costs_one() {
    for (limit, tipo, class, reason) in [
        (
            "",
            "emit-panic",
            "eventos.Trap",
            "wasm `unreachable` instruction executed",
        ),
        (
            "timeout = \"200ms\"",
            "spin",
            "eventos.Timeout",
            "ran longer than its limit of 200ms",
        ),
        (
            "output = \"1MiB\"\ntimeout = \"10s\"",
            "flood",
            "eventos.Output",
            "its limit is 1048576",
        ),
        (
            "memory = \"16MiB\"\ntimeout = \"10s\"",
            "hoard",
            "eventos.Memory",
            "its limit is 16777216",
        ),
    ] {
        let mut tipos = ["good"; 101];
        tipos[50] = tipo;
        let fixture = run(&format!("{CONFIG}{limit}\n"), &tipos);
        let ids = (0..101).filter(|&i| i != 50).map(|i| i.to_string());
        assert_eq!(fixture.stored(), ids.collect::<Vec<_>>(), "{tipo}");
        let letter = fixture.dead_letter();
        assert_eq!(letter.offset_of_source(), 50);
        let message = letter.header("__connect.errors.exception.message");
        assert!(message.ends_with(reason), "{message}");
        assert_reason(&letter, class, message, "1");
        assert_eq!(emitted(&fixture), [], "{tipo}");
    }
}

#[test]
fn a_tombstone_passes_without_it() {
    let setup = setup("");
    let daemon = setup.start();
    let topic = setup.topic();
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0).key(b"k");
    let good = evento("after", "good");
    produce(
        daemon.broker(),
        [record(), record().payload(good.as_bytes())],
    );
    daemon.wait_for_consumed(2);
    let fixture = Fixture { setup, daemon };
    assert_eq!(fixture.stored(), ["after"]);
    assert_eq!(fixture.outcomes("pass"), 2.0);
    assert_eq!(fixture.dead_letters(), []);
}
