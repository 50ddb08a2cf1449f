//! What is consumed when the topic, its records or the committed offsets change behind the daemon's back: no record is left
//! out, and the lag says how many are still to be handled.

mod clocks;
mod frozen;
mod headers;
mod lag;
mod offsets;
mod recreated;
mod unreadable;

use std::collections::BTreeSet;

use eventos_testkit::{Broker, Daemon, Setup, eventually, produce, read_topic};
use rdkafka::{Message as _, producer::BaseRecord};
use serde_json::Value;

use crate::EVENTOS;

/// The number of partitions of the topics that a test creates.
const PARTITIONS: i32 = 4;

/// Both brokers.
const BROKERS: [Broker; 2] = [Broker::Embedded, Broker::Kafka];

/// Prepares a daemon that stores Eventos, and produces each to an output topic: what is only replayed for the store does not
/// come there. A daemon that was killed is replaced soon.
fn setup(broker: Broker) -> Setup {
    let mut setup = Setup::new(EVENTOS, broker, &["store"], "");
    setup.add_config(&format!(
        "[output]\ntopic = {:?}\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n",
        output(&setup)
    ));
    setup
}

fn output(setup: &Setup) -> String {
    format!("{}-output", setup.name)
}

/// Produces Eventos with these ids to a partition, and waits for the acknowledgements.
fn produce_to(setup: &Setup, servers: &str, partition: i32, ids: impl IntoIterator<Item = String>) {
    let topic = setup.topic();
    let evento = |id| format!(r#"{{"id":"{id}","tipo":"t"}}"#);
    let eventos: Vec<_> = ids.into_iter().map(evento).collect();
    let records = eventos.iter().map(|evento| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(evento.as_bytes());
        record.partition(partition)
    });
    produce(servers, records);
}

/// Returns `count` ids that begin with this name.
fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{name}-{i}")).collect()
}

/// Returns the ids of the Eventos that were handled so far, each once.
fn handled(setup: &Setup, daemon: &Daemon) -> BTreeSet<String> {
    let records = read_topic(daemon.broker(), &output(setup));
    let id = |value: &[u8]| {
        let evento: Value = serde_json::from_slice(value).expect("JSON");
        evento["id"].as_str().expect("a text").to_owned()
    };
    records
        .iter()
        .filter_map(|record| record.payload().map(id))
        .collect()
}

/// Waits until all of these were handled.
fn wait_until_handled(setup: &Setup, daemon: &Daemon, ids: &[String]) {
    let mut left = 0;
    eventually(&format!("{} Eventos to be handled", ids.len()), || {
        let handled = handled(setup, daemon);
        let missing = ids.iter().filter(|id| !handled.contains(*id)).count();
        if missing != left {
            left = missing;
            eprintln!("{left} of {} are not handled yet", ids.len());
        }
        (missing == 0).then_some(())
    });
}
