//! Committed offsets that do not fit the log, and groups that begin at the end.

use eventos_testkit::{
    Broker, Daemon, Setup, add_partitions, commit_offsets, committed_offsets, create_topic,
    delete_records, end_offsets, eventually,
};

use super::{BROKERS, handled, ids, produce_to, setup, wait_until_handled};

const LATEST: &str = "EVENTOS__KAFKA__AUTO_OFFSET_RESET";

/// Prepares a daemon whose topic has one partition, and another daemon that runs the built-in broker.
fn with_topic(broker: Broker) -> (Setup, Daemon) {
    let host = Setup::new(crate::EVENTOS, broker, &["store"], "").start();
    let mut setup = setup(broker);
    setup.servers = host.broker().to_owned();
    create_topic(host.broker(), &setup.topic(), 1);
    (setup, host)
}

/// Like [`with_topic`], with the daemon started and 10 records committed. Not even a group that begins at the end may skip those
/// that come after.
fn with_10_committed(broker: Broker) -> (Setup, Daemon, Daemon) {
    let (mut setup, host) = with_topic(broker);
    setup.set_env(LATEST, "latest");
    let daemon = setup.start();
    produce_to(&setup, host.broker(), 0, ids("before", 10));
    setup.wait_until_committed(&daemon);
    (setup, host, daemon)
}

/// Offsets that were restored from a backup of another moment.
#[test]
fn committed_offsets_beyond_the_end_lose_nothing_after_a_kill() {
    for broker in BROKERS {
        let (setup, host) = with_topic(broker);
        produce_to(&setup, host.broker(), 0, ids("first", 200));
        commit_offsets(host.broker(), &setup.name, &setup.topic(), &[2_000]);
        let daemon = setup.start();
        daemon.wait_for_log("the committed offset lies beyond the end of the partition");
        wait_until_handled(&setup, &daemon, &ids("first", 200));
        daemon.kill();
        produce_to(&setup, host.broker(), 0, ids("second", 2_000));
        let daemon = setup.start();
        wait_until_handled(&setup, &daemon, &ids("second", 2_000));
        setup.wait_until_committed(&daemon);
    }
}

#[test]
fn records_that_were_deleted_before_they_were_handled_are_reported_and_the_rest_is_handled() {
    for broker in BROKERS {
        let (setup, host, daemon) = with_10_committed(broker);
        assert!(daemon.stop().success());
        produce_to(&setup, host.broker(), 0, ids("away", 100));
        delete_records(host.broker(), &setup.topic(), 0, 60);
        let daemon = setup.start();
        let left: Vec<_> = ids("away", 100).into_iter().skip(50).collect();
        wait_until_handled(&setup, &daemon, &left);
        let line = daemon.wait_for_log("records were deleted before they were handled");
        assert!(line.contains("records=50"), "{line}");
    }
}

#[test]
fn a_group_that_begins_at_the_end_has_that_position_at_once() {
    for broker in BROKERS {
        let (mut setup, host) = with_topic(broker);
        setup.set_env(LATEST, "latest");
        produce_to(&setup, host.broker(), 0, ids("before", 10));
        let daemon = setup.start();
        assert_eq!(
            committed_offsets(host.broker(), &setup.name, &setup.topic()),
            [10]
        );
        daemon.kill();
        produce_to(&setup, host.broker(), 0, ids("after", 10));
        let daemon = setup.start();
        wait_until_handled(&setup, &daemon, &ids("after", 10));
        assert_eq!(handled(&setup, &daemon).len(), 10);
    }
}

#[test]
fn a_partition_that_is_added_is_handled_from_its_start_by_a_group_that_began_at_the_end() {
    for broker in BROKERS {
        let (mut setup, host) = with_topic(broker);
        setup.set_env(LATEST, "latest");
        let daemon = setup.start();
        add_partitions(host.broker(), &setup.topic(), 2);
        // Before the daemon sees the partition.
        produce_to(&setup, host.broker(), 1, ids("added", 100));
        wait_until_handled(&setup, &daemon, &ids("added", 100));
        setup.wait_until_committed(&daemon);
        assert_eq!(end_offsets(host.broker(), &setup.topic()), [0, 100]);
        eventually("no lag", || {
            (daemon.metric_sum("eventos_consumer_lag") == 0.0).then_some(())
        });
    }
}

/// A daemon that is behind, and a topic that keeps its records too short a time.
#[test]
fn records_that_are_deleted_while_the_daemon_runs_are_reported_and_the_rest_is_handled() {
    for broker in BROKERS {
        let (setup, host, daemon) = with_10_committed(broker);
        daemon.signal("STOP");
        // A fetch that waits is answered with up to 1 MiB of these.
        produce_to(&setup, host.broker(), 0, ids("frozen", 80_000));
        delete_records(host.broker(), &setup.topic(), 0, 79_990);
        daemon.signal("CONT");
        let left: Vec<_> = ids("frozen", 80_000).into_iter().skip(79_980).collect();
        wait_until_handled(&setup, &daemon, &left);
        daemon.wait_for_log("records were deleted before they were handled");
        setup.wait_until_committed(&daemon);
    }
}
