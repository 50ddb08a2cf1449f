//! The protocols of a group: cooperative, eager, with static members, and KIP-848, in which the broker assigns.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, Setup};

use super::{Group, assigned_partitions, wait_until_shared};
use crate::EVENTOS;

/// Properties with which a group notices within a second that a member was killed.
const QUICK: &str = "\"session.timeout.ms\" = \"1000\"\n\"heartbeat.interval.ms\" = \"300\"";
/// The same for Kafka, within two seconds: Kafka may have to share two cores with the daemons. The tests' Kafka has a
/// `group.min.session.timeout.ms` that allows this.
const QUICK_ON_KAFKA: &str =
    "\"session.timeout.ms\" = \"2000\"\n\"heartbeat.interval.ms\" = \"300\"";

#[test]
fn members_come_go_and_die_with_the_broker_inside() {
    let took = members_come_go_and_die(Broker::Embedded, QUICK);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn members_come_go_and_die_with_kafka() {
    let took = members_come_go_and_die(Broker::Kafka, QUICK_ON_KAFKA);
    assert!(took < Duration::from_secs(2 + 3), "{took:?}");
}

#[test]
fn members_come_go_and_die_by_an_eager_protocol_with_the_broker_inside() {
    let range = format!("{QUICK}\n\"partition.assignment.strategy\" = \"range\"");
    members_come_go_and_die(Broker::Embedded, &range);
}

#[test]
fn members_come_go_and_die_by_an_eager_protocol_with_kafka() {
    let range = format!("{QUICK_ON_KAFKA}\n\"partition.assignment.strategy\" = \"range\"");
    members_come_go_and_die(Broker::Kafka, &range);
}

#[test]
fn members_come_go_and_die_where_kafka_assigns() {
    members_come_go_and_die(Broker::Kafka, "\"group.protocol\" = \"consumer\"");
}

#[test]
fn members_come_go_and_die_and_nothing_counts_twice_with_the_broker_inside() {
    nothing_counts_twice(Broker::Embedded, QUICK);
}

#[test]
fn members_come_go_and_die_and_nothing_counts_twice_with_kafka() {
    nothing_counts_twice(Broker::Kafka, QUICK_ON_KAFKA);
}

#[test]
fn members_come_go_and_die_and_nothing_counts_twice_where_kafka_assigns() {
    nothing_counts_twice(Broker::Kafka, "\"group.protocol\" = \"consumer\"");
}

fn members_come_go_and_die(broker: Broker, properties: &str) -> Duration {
    let (took, repeated) = come_go_and_die(&Group::new(broker, properties));
    // The killed member had not committed its last half second, or a little more on a busy machine.
    assert!(repeated < 6_000, "{repeated} are there again");
    took
}

fn nothing_counts_twice(broker: Broker, properties: &str) {
    let group = Group::with_guarantee(broker, "exactly_once", properties);
    let (_, repeated) = come_go_and_die(&group);
    assert_eq!(repeated, 0);
}

/// Runs two members, then three, then one, under load. Returns the time after the kill until the last member has all partitions,
/// and the number of records that came out more than once.
fn come_go_and_die(group: &Group) -> (Duration, usize) {
    let (_first, first) = group.join("");
    let load = group.start_load();
    let (_second, second) = group.join("");
    wait_until_shared(&[&first, &second]);
    let (_third, third) = group.join("");
    wait_until_shared(&[&first, &second, &third]);

    assert!(second.stop().success());
    wait_until_shared(&[&first, &third]);
    assert_eq!(group.count_repeated(), 0, "no member was killed yet");
    let killed = Instant::now();
    third.kill();
    wait_until_shared(&[&first]);
    let took = killed.elapsed();
    let sent = load.finish();
    group.wait_until_done();
    let repeated = group.check_complete(&sent);
    let all: i64 = sent.iter().sum();
    println!("{all} sent, {repeated} repeated, taken over after {took:?}");
    // Its store also has the Eventos that the others had stored.
    assert_eq!(first.metric_sum("eventos_store_events"), all as f64);
    (took, repeated)
}

#[test]
fn a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance() {
    let group = Group::new(Broker::Embedded, "\"session.timeout.ms\" = \"30000\"");
    let (_first, first) = group.join("\"group.instance.id\" = \"one\"");
    let (setup, second) = group.join("\"group.instance.id\" = \"two\"");
    wait_until_shared(&[&first, &second]);
    let assigned = assigned_partitions(&second);
    let rebalances = first.metric_sum("eventos_rebalances_total");
    let load = group.start_load();
    second.kill();
    let second = setup.start();
    wait_until_shared(&[&first, &second]);
    assert_eq!(assigned_partitions(&second), assigned);
    let sent = load.finish();
    group.wait_until_done();
    group.check_complete(&sent);
    assert_eq!(first.metric_sum("eventos_rebalances_total"), rebalances);
    let stored = [&first, &second].map(|daemon| daemon.metric_sum("eventos_store_events"));
    assert_eq!(stored.iter().sum::<f64>(), sent.iter().sum::<i64>() as f64);
}

#[test]
fn the_broker_inside_refuses_to_assign_by_itself_and_says_so() {
    let config = "[kafka.properties]\n\"group.protocol\" = \"consumer\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], config);
    let (status, log) = setup.start_listening().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("remove it from [kafka.properties]"), "{log}");
}
