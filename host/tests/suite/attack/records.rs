//! Records of a foreign producer, and Eventos that make a handler misbehave. Each becomes a dead letter, or is handled.

use eventos_testkit::produce;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};

use super::*;

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("a record that is not JSON", |target| {
        dead(target, b"not JSON")
    }),
    ("a record that is not UTF-8", |target| {
        dead(target, b"\xff\xfe\xfd")
    }),
    ("a record of 8 MB of brackets", |target| {
        dead(target, &vec![b'['; 8 << 20])
    }),
    ("an Evento whose id is an object", |target| {
        dead(target, br#"{"id":{"$ne":null},"tipo":"good"}"#)
    }),
    ("a record with 1,000 headers", |target| {
        let mut headers = OwnedHeaders::new();
        for _ in 0..1_000 {
            let header = Header {
                key: "a",
                value: Some("b"),
            };
            headers = headers.insert(header);
        }
        let topic = target.setup.topic();
        let value = br#"{"id":"headers","tipo":"good"}"#;
        let record = BaseRecord::<[u8], [u8]>::to(&topic)
            .payload(value)
            .headers(headers);
        produce(target.daemon.broker(), [record]);
        eventually("the record to be stored", || {
            (target.daemon.get("/messages/headers").status == 200).then_some(())
        });
        Ok("stored".to_owned())
    }),
    ("a handler that panics", |target| misbehave(target, "panic")),
    ("a handler that never returns", |target| {
        misbehave(target, "spin")
    }),
    ("a handler that takes all memory", |target| {
        misbehave(target, "grow")
    }),
    ("a handler that recurses for ever", |target| {
        misbehave(target, "recurse")
    }),
    ("a handler that ends its process", |target| {
        misbehave(target, "abort")
    }),
    (
        "a handler that stores a record that it was not given",
        |target| misbehave(target, "store-beyond"),
    ),
    ("a handler that emits columns that do not fit", |target| {
        misbehave(target, "emit-crooked")
    }),
    (
        "a handler that emits to a topic that it may not use",
        |target| misbehave(target, "emit-forbidden"),
    ),
    ("a handler that makes a million records of one", |target| {
        misbehave(target, "replace-million")
    }),
];

fn letters(target: &Target) -> usize {
    target.daemon.metric_sum("eventos_dead_letters_total") as usize
}

/// Produces a record, which has to become a dead letter.
fn dead(target: &Target, value: &[u8]) -> Outcome {
    let before = letters(target);
    let topic = target.setup.topic();
    let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(value);
    produce(target.daemon.broker(), [record]);
    eventually("a dead letter", || (letters(target) > before).then_some(()));
    Ok("it is a dead letter".to_owned())
}

fn misbehave(target: &Target, tipo: &str) -> Outcome {
    dead(
        target,
        format!(r#"{{"id":"{tipo}","tipo":"{tipo}"}}"#).as_bytes(),
    )
}
