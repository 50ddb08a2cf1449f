//! Exactly once: a fenced producer changes nothing. It may be of a killed daemon, of a second daemon with the same id, or of a member
//! that the group considered dead.

use eventos_testkit::{Broker, DEADLINE, eventually};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{EXACTLY_ONCE, Group};

/// Creates a producer with the transactional id of a member's first worker.
fn rival(group: &Group, name: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &group.servers)
        .set("transactional.id", format!("{}-{name}-0", group.name))
        .create()
        .expect("a client");
    producer.init_transactions(DEADLINE).expect("it begins");
    producer
}

#[test]
fn what_a_former_self_left_open_is_aborted_at_the_start_with_the_broker_inside() {
    what_a_former_self_left_open_is_aborted_at_the_start(Broker::Embedded);
}

#[test]
fn what_a_former_self_left_open_is_aborted_at_the_start_with_kafka() {
    what_a_former_self_left_open_is_aborted_at_the_start(Broker::Kafka);
}

fn what_a_former_self_left_open_is_aborted_at_the_start(broker: Broker) {
    let group = Group::new(broker, EXACTLY_ONCE, &[]);
    let former = rival(&group, "one");
    former.begin_transaction().expect("it begins");
    let output = group.output();
    let left = BaseRecord::<[u8], [u8]>::to(&output).partition(0);
    let left = left.payload(br#"{"id":0,"tipo":"good"}"#);
    former
        .send(left)
        .map_err(|(error, _)| error)
        .expect("the record is queued");
    former.flush(DEADLINE).expect("the record is acknowledged");

    let _daemon = group.member("one", "").start();
    group.send(0..100);
    group.wait_until_done();
    group.check(100);
    let error = former
        .commit_transaction(DEADLINE)
        .expect_err("the producer is fenced");
    assert!(error.to_string().contains("enced"), "{error}");
    group.check(100);
}

#[test]
fn who_is_fenced_by_a_rival_begins_anew_and_says_whose_id_it_is_with_the_broker_inside() {
    who_is_fenced_by_a_rival_begins_anew_and_says_whose_id_it_is(Broker::Embedded);
}

#[test]
fn who_is_fenced_by_a_rival_begins_anew_and_says_whose_id_it_is_with_kafka() {
    who_is_fenced_by_a_rival_begins_anew_and_says_whose_id_it_is(Broker::Kafka);
}

fn who_is_fenced_by_a_rival_begins_anew_and_says_whose_id_it_is(broker: Broker) {
    let group = Group::new(broker, EXACTLY_ONCE, &[]);
    let daemon = group.member("one", "").start();
    group.send(0..100);
    group.wait_until_done();
    let _rival = rival(&group, "one");
    group.send(100..300);
    group.wait_until_done();
    group.check(300);
    let id = format!("transactional_id=\"{}-one-0\"", group.name);
    daemon.wait_for_log_word(&id, "cannot go on; replacing it");
}

#[test]
fn one_that_was_taken_for_dead_commits_nothing_when_it_wakes_with_the_broker_inside() {
    one_that_was_taken_for_dead_commits_nothing_when_it_wakes(Broker::Embedded, 1_000);
}

#[test]
fn one_that_was_taken_for_dead_commits_nothing_when_it_wakes_with_kafka() {
    one_that_was_taken_for_dead_commits_nothing_when_it_wakes(Broker::Kafka, 6_000);
}

fn one_that_was_taken_for_dead_commits_nothing_when_it_wakes(broker: Broker, session_ms: u32) {
    let group = Group::new(broker, EXACTLY_ONCE, &[]);
    let quick =
        format!("\"session.timeout.ms\" = \"{session_ms}\"\n\"heartbeat.interval.ms\" = \"300\"\n");
    let one = group.member("one", &quick).start();
    group.send(0..2_000);
    eventually("the first records to be consumed", || {
        (one.metric_sum("eventos_consumed_total") > 0.0).then_some(())
    });
    one.signal("STOP");
    group.send(2_000..4_000);
    let two = group.member("two", &quick).start();
    group.wait_until_done();
    group.check(4_000);
    one.signal("CONT");
    group.send(4_000..5_000);
    group.wait_until_done();
    one.wait_until_ready();
    group.check(5_000);
    drop(two);
}
