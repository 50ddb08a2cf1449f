//! Starting and stopping a daemon, and what may happen to it and its broker in between.

mod batch;
mod conflicts;
mod descriptors;
mod disk;
mod kill;
mod outage;
mod panics;
mod partitions;
mod pressure;
mod shipper;
mod shutdown;
mod topics;
mod waiting;

use std::collections::HashMap;

use eventos_testkit::{Broker, Setup};
use rdkafka::{Message, message::OwnedMessage};
use serde_json::Value;

use crate::EVENTOS;

/// Prepares a daemon with the default handler, whose group soon notices when a member is killed.
fn setup(broker: Broker) -> Setup {
    let quick = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";
    Setup::new(EVENTOS, broker, &["store"], quick)
}

/// Returns the id of each record by partition and offset. Checks that no two records have the same id.
fn ids_by_position(records: &[OwnedMessage]) -> HashMap<(i32, i64), String> {
    let position = |record: &OwnedMessage| (record.partition(), record.offset());
    let by_position: HashMap<_, _> = records.iter().map(|r| (position(r), id(r))).collect();
    let mut ids: Vec<_> = by_position.values().collect();
    ids.sort();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None, "an id is there twice");
    by_position
}

fn id(record: &OwnedMessage) -> String {
    let value: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    value["id"].as_str().expect("a text").to_owned()
}
