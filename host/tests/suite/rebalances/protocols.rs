//! The group's protocols: cooperative, eager, static members, and the one in which the broker assigns.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, Setup};

use super::{Group, wait_until_shared};
use crate::EVENTOS;

/// A member that was killed is noticed in a second; on Kafka, whose `group.min.session.timeout.ms` allows that here, in two,
/// for that has to share two cores with the daemons.
const QUICK: &str = "\"session.timeout.ms\" = \"1000\"\n\"heartbeat.interval.ms\" = \"300\"";
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
    let (took, again) = come_go_and_die(&Group::new(broker, properties));
    // What was handled before the kill and not committed yet: its last half second, or a little more on a busy machine.
    assert!(again < 6_000, "{again} came again");
    took
}

fn nothing_counts_twice(broker: Broker, properties: &str) {
    let (_, again) = come_go_and_die(&Group::with(broker, "exactly_once", properties));
    assert_eq!(again, 0);
}

/// Two, three, then one, under load; answers how long after a kill the last one has everything, and how many records came
/// through more than once.
fn come_go_and_die(group: &Group) -> (Duration, usize) {
    let (_first, first) = group.join("");
    let load = group.load();
    let (_second, second) = group.join("");
    wait_until_shared(&[&first, &second], 1);
    let (_third, third) = group.join("");
    wait_until_shared(&[&first, &second, &third], 1);

    assert!(second.stop().success());
    wait_until_shared(&[&first, &third], 1);
    assert_eq!(group.came_again(), 0, "nobody was killed yet");
    let killed = Instant::now();
    third.kill();
    wait_until_shared(&[&first], 1);
    let took = killed.elapsed();
    let sent = load.stop();
    group.wait_until_done();
    let again = group.judge(&sent);
    let all: i64 = sent.iter().sum();
    println!("{all} sent, {again} again, taken over after {took:?}");
    // It shows what the others had shown, too.
    assert_eq!(first.sum("eventos_store_events"), all as f64);
    (took, again)
}

#[test]
fn a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance() {
    let group = Group::new(Broker::Embedded, "\"session.timeout.ms\" = \"30000\"");
    let (_first, first) = group.join("\"group.instance.id\" = \"one\"");
    let (setup, second) = group.join("\"group.instance.id\" = \"two\"");
    wait_until_shared(&[&first, &second], 1);
    let (held, rebalances) = (super::held(&second), first.sum("eventos_rebalances_total"));
    let load = group.load();
    second.kill();
    let second = setup.start();
    wait_until_shared(&[&first, &second], 1);
    assert_eq!(super::held(&second), held);
    let sent = load.stop();
    group.wait_until_done();
    group.judge(&sent);
    assert_eq!(first.sum("eventos_rebalances_total"), rebalances);
    let shown = first.sum("eventos_store_events") + second.sum("eventos_store_events");
    assert_eq!(shown, sent.iter().sum::<i64>() as f64);
}

#[test]
fn the_broker_inside_refuses_to_assign_by_itself_and_says_so() {
    let own = "[kafka.properties]\n\"group.protocol\" = \"consumer\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], own);
    let (status, said) = setup.spawn().wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("leave \"group.protocol\" out"), "{said}");
}
