//! The store is a view of the topic: what it showed before a restart it shows again, and nothing happens twice for it.

mod bounds;
mod chain;
mod gaps;
mod unfinished;

use eventos_testkit::{Broker, Daemon, Setup, committed, ends, eventually, produce};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

/// With these handlers, in a group that notices soon that a member was killed.
fn setup(broker: Broker, handlers: &[&str], more: &str) -> Setup {
    let quick = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";
    Setup::new(EVENTOS, broker, handlers, &format!("{quick}\n{more}"))
}

/// Produces one record after another, over all of the topic's partitions, each so many milliseconds after the same hour:
/// of today, for Kafka removes what is old.
fn produce_all(daemon: &Daemon, topic: &str, eventos: &[(String, i64)]) {
    let hour = 3_600_000;
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_millis();
    let first = i64::try_from(now).expect("far from it") / hour * hour - hour;
    let records = (0..).zip(eventos).map(|(i, (evento, at))| {
        let record = BaseRecord::<[u8], [u8]>::to(topic).partition(i % partitions(daemon));
        record.timestamp(first + at).payload(evento.as_bytes())
    });
    produce(daemon.broker(), records);
}

/// The broker inside makes topics of four partitions, the Kafka of the tests of one.
fn partitions(daemon: &Daemon) -> i32 {
    if daemon.log().contains("built-in broker listening") {
        4
    } else {
        1
    }
}

/// Waits until everything in the topic is handled and committed.
fn wait_until_committed(setup: &Setup, daemon: &Daemon) {
    eventually("all of it to be committed", || {
        let ends = ends(daemon.broker(), &setup.topic());
        (committed(daemon.broker(), &setup.name, &setup.topic()) == ends).then_some(())
    });
}

/// All that is shown, as text.
fn shown(daemon: &Daemon) -> String {
    daemon.messages("?limit=100000")
}
