//! Starting, stopping and everything that may happen to a daemon and its broker in between.

mod batch;
mod conflicts;
mod kill;
mod outage;
mod pressure;
mod shutdown;
mod topics;
mod waiting;

use std::collections::HashMap;

use eventos_testkit::{Broker, Setup};
use rdkafka::{Message, message::OwnedMessage};
use serde_json::Value;

use crate::EVENTOS;

/// A daemon with the default handler, whose group notices quickly that a member was killed.
fn setup(broker: Broker) -> Setup {
    let quick = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";
    Setup::new(EVENTOS, broker, &["store"], quick)
}

/// The id of each record, by its place; fails if two have the same.
fn ids_by_place(records: &[OwnedMessage]) -> HashMap<(i32, i64), String> {
    let place = |record: &OwnedMessage| (record.partition(), record.offset());
    let by_place: HashMap<_, _> = records.iter().map(|r| (place(r), id(r))).collect();
    let mut ids: Vec<_> = by_place.values().collect();
    ids.sort();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None, "it is there twice");
    by_place
}

fn id(record: &OwnedMessage) -> String {
    let value: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    value["id"].as_str().expect("a text").to_owned()
}
