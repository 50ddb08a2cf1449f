//! The store is a view of the topic. A restart restores it, and restoring has no other effect.

mod bounds;
mod chain;
mod gaps;
mod unfinished;

use eventos_testkit::{Broker, Daemon, Setup, partition_count, produce};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

/// Prepares a daemon with these handlers, whose group soon notices when a member is killed.
fn setup(broker: Broker, handlers: &[&str], config: &str) -> Setup {
    let quick = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";
    Setup::new(EVENTOS, broker, handlers, &format!("{quick}\n{config}"))
}

/// Produces records to all partitions in turn. Their timestamps are these numbers of milliseconds after the last full hour but one,
/// because Kafka removes records that are older than a week.
fn produce_all(daemon: &Daemon, topic: &str, eventos: &[(String, i64)]) {
    let hour = 3_600_000;
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("a time after 1970")
        .as_millis();
    let first = i64::try_from(now).expect("not in the far future") / hour * hour - hour;
    let partitions = partition_count(daemon.broker(), topic);
    let records = (0..).zip(eventos).map(|(i, (evento, at))| {
        let record = BaseRecord::<[u8], [u8]>::to(topic).partition(i % partitions);
        record.timestamp(first + at).payload(evento.as_bytes())
    });
    produce(daemon.broker(), records);
}

/// Returns all stored Eventos, as text.
fn stored(daemon: &Daemon) -> String {
    daemon.messages("?limit=100000")
}
