//! How many Eventos are restored, and how many records are replayed for that.

use std::time::Duration;

use eventos_testkit::{Broker, Daemon, partition_count};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use super::{produce_all, setup, stored};

/// Makes Eventos whose timestamps are not in the order of their offsets.
fn eventos(count: usize) -> Vec<(String, i64)> {
    let one = |i: usize| {
        let at = i64::try_from(i * 37 % 500).expect("small");
        (format!(r#"{{"id":"e{i}","tipo":"t","at":{at}}}"#), at)
    };
    (0..count).map(one).collect()
}

#[test]
fn a_small_store_is_rebuilt_as_it_was_from_its_oldest_on() {
    let setup = setup(Broker::Embedded, &["store"], "[store]\nmax_events = 200\n");
    let daemon = setup.start();
    let eventos = eventos(4_000);
    for part in eventos.chunks(500) {
        produce_all(&daemon, &setup.topic(), part);
        setup.wait_until_committed(&daemon);
    }
    let before = stored(&daemon);
    assert_eq!(daemon.metric_sum("eventos_store_events"), 200.0);
    daemon.kill();

    let daemon = setup.start();
    assert_eq!(stored(&daemon), before);
    // Only part of the topic is replayed: it has far more than `max_events` Eventos.
    let replayed = daemon.metric_sum("eventos_handler_events_total");
    assert!((200.0..1_000.0).contains(&replayed), "{replayed}");
}

#[test]
fn what_was_shown_but_not_committed_before_a_kill_is_shown_once_it_is_ready() {
    let no_commit = "\"auto.commit.interval.ms\" = \"3600000\"\n";
    let setup = setup(Broker::Embedded, &["store"], no_commit);
    let daemon = setup.start();
    produce_all(&daemon, &setup.topic(), &eventos(3_000));
    daemon.wait_for_messages(3_000);
    let before = stored(&daemon);
    daemon.kill();

    let daemon = setup.start();
    assert_eq!(stored(&daemon), before);
}

#[test]
fn what_retention_removed_is_not_waited_for_with_the_broker_inside() {
    what_retention_removed_is_not_waited_for(Broker::Embedded);
}

#[test]
fn what_retention_removed_is_not_waited_for_with_kafka() {
    what_retention_removed_is_not_waited_for(Broker::Kafka);
}

fn what_retention_removed_is_not_waited_for(broker: Broker) {
    let setup = setup(broker, &["store"], "");
    let daemon = setup.start();
    let topic = setup.topic();
    let eventos: Vec<_> = eventos(1_000)
        .into_iter()
        .map(|(text, _)| (text, 0))
        .collect();
    produce_all(&daemon, &topic, &eventos);
    setup.wait_until_committed(&daemon);
    let removed = 30 * usize::try_from(partition_count(daemon.broker(), &topic)).expect("a count");
    delete_before(&daemon, &topic, 30);
    let before: Vec<serde_json::Value> = serde_json::from_str(&stored(&daemon)).expect("JSON");
    assert_eq!(before.len(), 1_000, "the running daemon still has them");
    daemon.kill();

    let daemon = setup.start();
    let mut after = daemon.wait_for_messages(1_000 - removed);
    let number = |evento: &serde_json::Value| {
        let id = evento["id"].as_str().expect("a text");
        id[1..].parse::<usize>().expect("a number")
    };
    after.sort_by_key(number);
    let restored: Vec<_> = after.iter().map(number).collect();
    assert_eq!(restored, (removed..1_000).collect::<Vec<_>>());
}

/// Deletes the records before this offset from each partition.
fn delete_before(daemon: &Daemon, topic: &str, offset: i64) {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", daemon.broker());
    let admin: AdminClient<DefaultClientContext> = client.create().expect("a client");
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partition_count(daemon.broker(), topic) {
        let offset = Offset::Offset(offset);
        wanted
            .add_partition_offset(topic, partition, offset)
            .expect("a valid offset");
    }
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(30)));
    let deleted = admin.delete_records(&wanted, &options);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let deleted = runtime.block_on(deleted).expect("the broker answers");
    deleted
        .elements()
        .iter()
        .for_each(|one| one.error().expect("the records are deleted"));
}
