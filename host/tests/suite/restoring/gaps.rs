//! Restoring a partition in which the last offsets before the committed one have no record.

use eventos_testkit::{Broker, DEADLINE, Setup};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{setup, stored};
use crate::EVENTOS;

#[test]
fn a_marker_before_the_committed_offset_is_not_waited_for_with_the_broker_inside() {
    a_marker_before_the_committed_offset_is_not_waited_for(Broker::Embedded);
}

#[test]
fn a_marker_before_the_committed_offset_is_not_waited_for_with_kafka() {
    a_marker_before_the_committed_offset_is_not_waited_for(Broker::Kafka);
}

/// Another client commits the offset after the marker of a transaction, without the metadata that the daemon commits. So no record
/// shows that the replay has reached the committed offset, and the daemon does not know where its view began.
fn a_marker_before_the_committed_offset_is_not_waited_for(broker: Broker) {
    // The broker has to outlive the daemon.
    let host =
        (broker == Broker::Embedded).then(|| Setup::new(EVENTOS, broker, &["store"], "").start());
    let mut setup = setup(broker, &["store"], "");
    if let Some(host) = &host {
        setup.servers = host.broker().to_owned();
    }
    let daemon = setup.start();
    produce_in_transaction(daemon.broker(), &setup.topic());
    daemon.wait_for_messages(1);
    let servers = daemon.broker().to_owned();
    assert!(daemon.stop().success());
    commit(&servers, &setup, 2);

    let daemon = setup.start();
    assert_eq!(stored(&daemon), r#"[{"id":"it","tipo":"t"}]"#);
    assert_eq!(daemon.metric_sum("eventos_consumed_total"), 0.0);
}

/// Commits this offset of partition 0 for the group, which has no members.
fn commit(servers: &str, setup: &Setup, offset: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", &setup.name)
        .create()
        .expect("a client");
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&setup.topic(), 0, Offset::Offset(offset))
        .expect("a valid offset");
    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("it is committed");
}

fn produce_in_transaction(servers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", topic)
        .create()
        .expect("a client");
    producer
        .init_transactions(DEADLINE)
        .expect("the transaction begins");
    producer
        .begin_transaction()
        .expect("the transaction begins");
    let record = BaseRecord::<[u8], [u8]>::to(topic).partition(0);
    let record = record.payload(br#"{"id":"it","tipo":"t"}"#);
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("the record is queued");
    producer
        .commit_transaction(DEADLINE)
        .expect("it is committed");
}
