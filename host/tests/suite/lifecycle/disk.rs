//! A disk of the built-in broker that fails: what may be lost is never acknowledged, and nothing else suffers.

use std::time::Duration;

use eventos_testkit::{
    Daemon, DiskFault, FaultyDisk, committed_offsets, create_topic, delete_topic, end_offsets,
    eventually,
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
};

use super::*;

const OTHER: &str = "other";

/// Starts a daemon that syncs before each acknowledgement, on a disk that fails for files with `path` in their path.
fn start(path: &str) -> (Setup, FaultyDisk, Daemon) {
    let mut setup = setup(Broker::Embedded);
    let disk = FaultyDisk::new(setup.dir.path(), path);
    setup.set_env("EVENTOS__EMBEDDED__FLUSH", "each");
    for (name, value) in disk.environment() {
        setup.set_env(name, &value);
    }
    let daemon = setup.start();
    create_topic(daemon.broker(), OTHER, 1);
    (setup, disk, daemon)
}

fn commit(daemon: &Daemon, offset: i64) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", daemon.broker())
        .set("group.id", OTHER)
        .create()
        .expect("a client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(OTHER, 0, Offset::Offset(offset))
        .expect("an offset");
    consumer.commit(&list, CommitMode::Sync)
}

fn committed(daemon: &Daemon) -> i64 {
    committed_offsets(daemon.broker(), OTHER, OTHER)[0]
}

#[test]
fn after_a_failed_sync_a_journal_acknowledges_nothing_until_a_restart() {
    let (setup, disk, daemon) = start("broker/offsets");
    commit(&daemon, 1).expect("the disk works");
    disk.set_failing(DiskFault::Sync, true);
    commit(&daemon, 2).expect_err("the sync failed");
    disk.set_failing(DiskFault::Sync, false);
    // The disk may have lost the offset 2, and a sync would not say so any more.
    for offset in 3..6 {
        commit(&daemon, offset).expect_err("the journal is closed");
    }
    assert!(
        daemon.log().contains("restart the broker"),
        "{}",
        daemon.log()
    );
    daemon.kill();
    let daemon = setup.start();
    commit(&daemon, 7).expect("the journal was opened again");
    assert_eq!(committed(&daemon), 7);
}

#[test]
fn after_a_failed_sync_a_log_takes_no_records_and_the_others_do() {
    let (setup, disk, daemon) = start("broker/logs/other-0");
    disk.set_failing(DiskFault::Sync, true);
    let produce = |daemon: &Daemon| {
        let producer: rdkafka::producer::BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", daemon.broker())
            .set("message.timeout.ms", "2000")
            .create()
            .expect("a client");
        let record = rdkafka::producer::BaseRecord::<[u8], [u8]>::to(OTHER).payload(b"x");
        producer.send(record).expect("it is queued");
        rdkafka::producer::Producer::flush(&producer, Duration::from_secs(10)).expect("an outcome");
    };
    produce(&daemon);
    disk.set_failing(DiskFault::Sync, false);
    let end = end_offsets(daemon.broker(), OTHER);
    produce(&daemon);
    assert_eq!(end_offsets(daemon.broker(), OTHER), end);
    daemon.kill();
    let daemon = setup.start();
    daemon.send(r#"{"id":1,"tipo":"t"}"#);
    produce(&daemon);
    assert!(end_offsets(daemon.broker(), OTHER) > end);
}

#[test]
fn a_torn_entry_that_cannot_be_cut_off_takes_no_other_entry_along() {
    let (setup, disk, daemon) = start("broker/offsets");
    commit(&daemon, 1).expect("the disk works");
    disk.set_failing(DiskFault::Truncate, true);
    disk.set_failing(DiskFault::Write, true);
    commit(&daemon, 2).expect_err("half of the entry was written");
    disk.set_failing(DiskFault::Write, false);
    commit(&daemon, 3).expect_err("reading would stop at the torn entry");
    disk.set_failing(DiskFault::Truncate, false);
    commit(&daemon, 4).expect("the torn entry is cut off");
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(committed(&daemon), 4);
}

#[test]
fn files_of_a_deleted_topic_that_cannot_be_removed_are_not_opened_again() {
    let (setup, disk, daemon) = start("broker/logs/other-0");
    let record = rdkafka::producer::BaseRecord::<[u8], [u8]>::to(OTHER).payload(b"x");
    eventos_testkit::produce(daemon.broker(), [record]);
    disk.set_failing(DiskFault::Remove, true);
    delete_topic(daemon.broker(), OTHER);
    let folder = setup.dir.path().join("broker/logs/other-0");
    assert!(folder.exists());
    let create = || {
        let admin: rdkafka::admin::AdminClient<_> = ClientConfig::new()
            .set("bootstrap.servers", daemon.broker())
            .create()
            .expect("a client");
        let new =
            rdkafka::admin::NewTopic::new(OTHER, 1, rdkafka::admin::TopicReplication::Fixed(1));
        let options = rdkafka::admin::AdminOptions::new();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let created = runtime.block_on(admin.create_topics([&new], &options));
        created.expect("the broker answers").remove(0)
    };
    create().expect_err("the old files are still there");
    disk.set_failing(DiskFault::Remove, false);
    create().expect("the old files are removed");
    eventually("the new topic", || {
        (end_offsets(daemon.broker(), OTHER) == [0]).then_some(())
    });
}
