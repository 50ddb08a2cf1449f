//! A component that knows only the standard `wasi:messaging` runs like any other handler. It is called `probe` here too.

use std::fs;

use eventos_testkit::{
    Broker, Received, Setup, handler, header_list, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use sha2::{Digest, Sha256};

use super::{Ran, TIMESTAMP, assert_says, evento, in_the_middle};
use crate::EVENTOS;

fn setup(more: &str) -> Setup {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], more);
    let file = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler("probe-messaging"), file).expect("copied");
    setup
}

/// Emits to a topic that is permitted, and retries once.
const MORE: &str = "[handler.probe]\nproduce = [\"alertas\"]\nretries = 1\n";

fn ran(more: &str, tipos: &[&str]) -> Ran {
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    Ran::on(setup(more), &eventos)
}

fn emitted(ran: &Ran) -> Vec<Received> {
    let emitted = read_topic(ran.daemon.broker(), "alertas");
    emitted.into_iter().map(Received::from).collect()
}

#[test]
fn what_it_handles_goes_on_in_order() {
    let ran = ran("", &["good"; 300]);
    let ids: Vec<_> = (0..300).map(|i| i.to_string()).collect();
    assert_eq!(ran.stored(), ids);
    assert_eq!(ran.answers("pass"), 300.0);
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
    let letter = Ran { setup, daemon }.dead_letter();
    let seen = format!(
        "Some(\"{topic}\") Some(\"application/json\") kafka.key=k kafka.partition=0 kafka.offset=0 \
         kafka.timestamp={TIMESTAMP} a=1 a=2"
    );
    assert_says(&letter, "eventos.Reject", &seen, "1");
    let file = fs::read(handler("probe-messaging")).expect("read");
    let digest = format!("{:x}", Sha256::digest(file));
    assert_eq!(letter.header("eventos.handler.digest"), digest);
}

/// What a call that failed sent does not count, nor what was sent on behalf of a record that is rejected.
#[test]
fn what_it_sends_is_emitted_once_and_only_if_it_counts() {
    let tipos = ["emit", "emit-error", "good", "emit-panic", "forward"];
    let setup = setup(MORE);
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
    let ran = Ran { setup, daemon };
    assert_eq!(ran.stored(), ["0", "2", "4"]);
    let dead = ran.dead_letters();
    let dead: Vec<_> = dead.iter().map(Received::offset_of_source).collect();
    assert_eq!(dead, [1, 3]);

    let emitted = emitted(&ran);
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
    let ran = Ran::on(setup(MORE), &in_the_middle("emit-forbidden"));
    assert_eq!(ran.stored(), ["before", "after"]);
    let message =
        "permission denied: the topic forbidden is not permitted; add it to handler.probe.produce";
    assert_says(&ran.dead_letter(), "eventos.Reject", message, "1");
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
            "an Evento says no topic for replies; use producer.send",
            "1",
        ),
    ] {
        let ran = Ran::on(setup(MORE), &in_the_middle(tipo));
        assert_eq!(ran.stored(), ["before", "after"], "{tipo}");
        assert_says(&ran.dead_letter(), class, message, attempts);
        assert_eq!(emitted(&ran), [], "{tipo}");
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
        let ran = ran(&format!("{MORE}{limit}\n"), &tipos);
        let ids = (0..101).filter(|&i| i != 50).map(|i| i.to_string());
        assert_eq!(ran.stored(), ids.collect::<Vec<_>>(), "{tipo}");
        let letter = ran.dead_letter();
        assert_eq!(letter.offset_of_source(), 50);
        let message = letter.header("__connect.errors.exception.message");
        assert!(message.ends_with(reason), "{message}");
        assert_says(&letter, class, message, "1");
        assert_eq!(emitted(&ran), [], "{tipo}");
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
    let ran = Ran { setup, daemon };
    assert_eq!(ran.stored(), ["after"]);
    assert_eq!(ran.answers("pass"), 2.0);
    assert_eq!(ran.dead_letters(), []);
}
