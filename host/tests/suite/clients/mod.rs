//! Other Kafka clients on the built-in broker of a running daemon: `/messages` shows what they produce, and they receive what is sent to
//! `/send`.

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

/// Starts a daemon with the built-in broker and the default handler.
fn daemon() -> (Setup, Daemon) {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    (setup, daemon)
}

/// Returns one member of every object, sorted.
fn members<'a>(name: &str, objects: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let text = |value: &Value| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut all: Vec<_> = objects.into_iter().map(text).collect();
    all.sort();
    all
}

/// Sends an Evento with this key, which is also its id. Returns the partition.
fn send_with_key(daemon: &Daemon, key: &str) -> i64 {
    let evento = serde_json::json!({"id": key, "tipo": "ours"});
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let path = format!("/send?key={key}");
    let answer = daemon.post_body(&path, "application/json", evento.to_string());
    answer.assert_status(200).json()["partition"]
        .as_i64()
        .expect("a number")
}

/// Makes `count` different keys. Some of them are not ASCII.
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
