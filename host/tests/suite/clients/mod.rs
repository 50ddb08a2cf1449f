//! Programs that others wrote, on the broker inside of a running daemon: what they send is in our
//! `/messages`, and they receive what our `/send` takes.

mod aiokafka;
mod confluent;
mod java;
mod kcat;
mod seed;

use std::collections::BTreeSet;

use eventos_testkit::{Broker, Daemon, Setup};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::EVENTOS;

/// A daemon with the broker inside and the default handler.
fn daemon() -> (Setup, Daemon) {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    (setup, daemon)
}

/// A member of every object, sorted.
fn all<'a>(name: &str, of: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let text = |value: &Value| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut all: Vec<_> = of.into_iter().map(text).collect();
    all.sort();
    all
}

/// Sends an Evento with this key, which is its id too; answers with the partition.
fn send_with_key(daemon: &Daemon, key: &str) -> i64 {
    let evento = serde_json::json!({"id": key, "tipo": "ours"});
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let url = daemon.url(&format!("/send?key={key}"));
    let request = daemon.client().post(url).json(&evento);
    let answer = request.send().expect("answered");
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().expect("JSON");
    answer["partition"].as_i64().expect("a number")
}

/// So many different keys, among them some that are not ASCII.
fn keys(count: usize) -> Vec<String> {
    let key = |i: usize| match i % 3 {
        0 => format!("sensor-{i}"),
        1 => format!("estación {i}"),
        _ => format!("{i}"),
    };
    (0..count).map(key).collect()
}

fn set(list: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    list.into_iter().collect()
}
