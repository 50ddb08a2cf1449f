//! A topic that is deleted and created again, while the daemon runs and while it does not.

use eventos_testkit::{
    Broker, Daemon, Setup, committed_offsets, create_topic, delete_topic, end_offsets, eventually,
    recreate_topic,
};

use super::{BROKERS, PARTITIONS, ids, output, produce_to, setup, wait_until_handled};

const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];

/// Prepares a daemon and its topic, of which it has handled 100 records in each partition.
fn with_100_handled(broker: Broker, guarantee: &str) -> (Setup, Daemon) {
    let mut setup = setup(broker);
    setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
    if broker == Broker::Kafka {
        create_topic(&broker.servers(), &setup.topic(), PARTITIONS);
    }
    let daemon = setup.start();
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        let old = ids(&format!("old-{partition}"), 100);
        produce_to(&setup, daemon.broker(), partition, old.clone());
        all.extend(old);
    }
    wait_until_handled(&setup, &daemon, &all);
    setup.wait_until_committed(&daemon);
    (setup, daemon)
}

/// Creates the topic again with as many partitions, and produces 300 records to each of them at once. Returns their ids.
fn recreate(setup: &Setup, servers: &str, partitions: i32) -> Vec<String> {
    recreate_topic(servers, &setup.topic(), partitions);
    let mut all = Vec::new();
    for partition in 0..partitions {
        let new = ids(&format!("new-{partition}"), 300);
        produce_to(setup, servers, partition, new.clone());
        all.extend(new);
    }
    all
}

#[test]
fn a_topic_that_is_created_again_is_handled_from_its_start() {
    for (broker, guarantee) in BROKERS.into_iter().zip(GUARANTEES) {
        let (setup, daemon) = with_100_handled(broker, guarantee);
        let new = recreate(&setup, daemon.broker(), PARTITIONS);
        wait_until_handled(&setup, &daemon, &new);
        daemon.wait_for_log("the topic was deleted and created again");
        setup.wait_until_committed(&daemon);
        eventually("no lag", || {
            (daemon.metric_sum("eventos_consumer_lag") == 0.0).then_some(())
        });
        daemon.wait_until_ready();
        // The store is a view of the new topic.
        assert_eq!(daemon.wait_for_messages(new.len()).len(), new.len());
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_topic_with_fewer_partitions_than_before_goes_on() {
    for broker in BROKERS {
        let (setup, daemon) = with_100_handled(broker, "at_least_once");
        let new = recreate(&setup, daemon.broker(), 1);
        wait_until_handled(&setup, &daemon, &new);
        for i in 0..20 {
            let evento = format!(r#"{{"id":"sent-{i}","tipo":"t"}}"#);
            eventually("sending to succeed", || {
                let answer = daemon.post_body("/send", "application/json", evento.clone());
                (answer.status == 200).then_some(())
            });
        }
        wait_until_handled(&setup, &daemon, &ids("sent", 20));
        daemon.wait_until_ready();
    }
}

#[test]
fn a_topic_that_is_created_again_while_the_daemon_is_away_is_handled_from_its_start() {
    for (broker, guarantee) in BROKERS.into_iter().zip(GUARANTEES) {
        // A second daemon keeps the built-in broker running.
        let host = Setup::new(crate::EVENTOS, broker, &["store"], "").start();
        let mut setup = setup(broker);
        setup.servers = host.broker().to_owned();
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        create_topic(host.broker(), &setup.topic(), PARTITIONS);
        let daemon = setup.start();
        for partition in 0..PARTITIONS {
            produce_to(
                &setup,
                host.broker(),
                partition,
                ids(&format!("old-{partition}"), 100),
            );
        }
        setup.wait_until_committed(&daemon);
        assert!(daemon.stop().success());
        let new = recreate(&setup, host.broker(), PARTITIONS);
        let daemon = setup.start();
        wait_until_handled(&setup, &daemon, &new);
        setup.wait_until_committed(&daemon);
        let committed = committed_offsets(host.broker(), &setup.name, &setup.topic());
        assert_eq!(committed, end_offsets(host.broker(), &setup.topic()));
    }
}

#[test]
fn an_output_that_is_created_again_with_fewer_partitions_gets_every_record() {
    for guarantee in GUARANTEES {
        let (setup, daemon) = with_100_handled(Broker::Kafka, guarantee);
        // The daemon would create the topic again itself, with the broker's default number of partitions.
        daemon.signal("STOP");
        recreate_topic(daemon.broker(), &output(&setup), 1);
        daemon.signal("CONT");
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let new = ids(&format!("new-{partition}"), 100);
            produce_to(&setup, daemon.broker(), partition, new.clone());
            all.extend(new);
        }
        wait_until_handled(&setup, &daemon, &all);
        setup.wait_until_committed(&daemon);
        daemon.wait_until_ready();
    }
}

#[test]
fn a_topic_that_does_not_exist_any_more_is_named_by_readyz() {
    let host = Setup::new(crate::EVENTOS, Broker::Embedded, &["store"], "").start();
    let mut setup = setup(Broker::Embedded);
    setup.servers = host.broker().to_owned();
    create_topic(host.broker(), &setup.topic(), 1);
    let daemon = setup.start();
    delete_topic(host.broker(), &setup.topic());
    daemon.wait_for_log("it does not exist any more; create it again");
    let ready = daemon.get("/readyz").assert_status(503).json();
    let detail = ready["detail"].as_str().expect("a text");
    let named = format!("topic {}: ", setup.topic());
    assert!(detail.contains(&named), "{detail}");
    create_topic(host.broker(), &setup.topic(), 2);
    daemon.wait_until_ready();
}
