//! `eventos_consumer_lag`.

use std::time::Duration;

use eventos_testkit::{Broker, Setup, committed_offsets, create_topic, end_offsets, eventually};
use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use super::{BROKERS, ids, produce_to, setup};

const TIMEOUT: Duration = Duration::from_secs(30);

fn transactional(servers: &str, id: &str) -> ThreadedProducer<DefaultProducerContext> {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", id)
        .create()
        .expect("a client");
    producer.init_transactions(TIMEOUT).expect("initialized");
    producer
}

/// Markers of transactions have offsets, and so do the records of those that were aborted.
#[test]
fn it_is_0_behind_the_markers_of_transactions_and_their_offset_is_committed() {
    for (broker, guarantee) in BROKERS.into_iter().zip(["at_least_once", "exactly_once"]) {
        let host = Setup::new(crate::EVENTOS, broker, &["store"], "").start();
        let mut setup = setup(broker);
        setup.servers = host.broker().to_owned();
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        create_topic(host.broker(), &setup.topic(), 1);
        let daemon = setup.start();
        let producer = transactional(host.broker(), &setup.name);
        let topic = setup.topic();
        for (name, count, commit) in [("kept", 10, true), ("aborted", 100, false)] {
            producer.begin_transaction().expect("begun");
            for id in ids(name, count) {
                let evento = format!(r#"{{"id":"{id}","tipo":"t"}}"#);
                let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(evento.as_bytes());
                producer
                    .send(record.partition(0))
                    .map_err(|(error, _)| error)
                    .expect("queued");
            }
            producer.flush(TIMEOUT).expect("acknowledged");
            match commit {
                true => producer.commit_transaction(TIMEOUT).expect("committed"),
                false => producer.abort_transaction(TIMEOUT).expect("aborted"),
            }
        }
        daemon.wait_for_messages(10);
        let end = [112];
        eventually("the last marker to be written", || {
            (end_offsets(host.broker(), &topic) == end).then_some(())
        });
        eventually("the offset behind the markers to be committed", || {
            (committed_offsets(host.broker(), &setup.name, &topic) == end).then_some(())
        });
        eventually("no lag", || {
            (daemon.metric(r#"eventos_consumer_lag{partition="0"}"#) == Some(0.0)).then_some(())
        });
        daemon.wait_for_messages(10);
    }
}

#[test]
fn it_grows_while_a_partition_is_halted_and_paused() {
    for broker in BROKERS {
        let config = "[handler.probe]\non_error = \"stop\"\n";
        let setup = Setup::new(crate::EVENTOS, broker, &["probe", "store"], config);
        if broker == Broker::Kafka {
            create_topic(&broker.servers(), &setup.topic(), 4);
        }
        let daemon = setup.start();
        let panic = r#"{"id":"bad","tipo":"panic"}"#;
        daemon.send(panic);
        let partition = eventually("the partition to be halted", || {
            let partitions = daemon.get("/partitions").json();
            let mut all = partitions.as_array().expect("a list").iter();
            all.find(|one| !one["halted"].is_null())?["partition"].as_i64()
        });
        let partition = i32::try_from(partition).expect("a partition");
        let lag = || {
            daemon.metric(&format!(
                "eventos_consumer_lag{{partition=\"{partition}\"}}"
            ))
        };
        for (name, total) in [("first", 40_001.0), ("second", 60_001.0)] {
            let count = if name == "first" { 40_000 } else { 20_000 };
            produce_to(&setup, daemon.broker(), partition, ids(name, count));
            eventually(&format!("a lag of {total}"), || {
                (lag() == Some(total)).then_some(())
            });
        }
        daemon.resume("probe");
    }
}
