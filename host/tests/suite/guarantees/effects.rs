//! Exactly once: either all effects of a batch count, or none.

use eventos_testkit::{Broker, end_offsets, eventually, produce, read_topic};
use rdkafka::producer::BaseRecord;

use super::{EXACTLY_ONCE, Fate, Group, evento, fate, sorted};

#[test]
fn each_effect_counts_once_and_after_a_restart_too_with_the_broker_inside() {
    each_effect_counts_once_and_after_a_restart_too(Broker::Embedded);
}

#[test]
fn each_effect_counts_once_and_after_a_restart_too_with_kafka() {
    each_effect_counts_once_and_after_a_restart_too(Broker::Kafka);
}

fn each_effect_counts_once_and_after_a_restart_too(broker: Broker) {
    let group = Group::new(broker, EXACTLY_ONCE, &[]);
    let setup = group.member("one", "");
    let daemon = setup.start();
    group.send(0..2_000);
    group.wait_until_done();
    group.check(2_000);
    let output = group.output();
    let taken: i64 = end_offsets(&group.servers, &output).iter().sum();
    let records = read_topic(&group.servers, &output).len();
    assert!(
        taken as usize > records,
        "transaction markers have offsets, too"
    );
    eventually("no lag", || {
        (daemon.metric_sum("eventos_consumer_lag") == 0.0).then_some(())
    });
    let stored = daemon.messages("?limit=10000");
    daemon.kill();

    // It has the same transactional ids, so it does not wait for the transactions of the killed daemon to time out.
    let daemon = setup.start();
    assert_eq!(daemon.messages("?limit=10000"), stored);
    group.send(2_000..2_100);
    group.wait_until_done();
    group.check(2_100);
    assert_eq!(daemon.metric_sum("eventos_consumed_total"), 100.0);
}

#[test]
fn what_a_topic_refuses_is_a_dead_letter_and_the_rest_counts_once_with_the_broker_inside() {
    what_a_topic_refuses_is_a_dead_letter_and_the_rest_counts_once(Broker::Embedded);
}

#[test]
fn what_a_topic_refuses_is_a_dead_letter_and_the_rest_counts_once_with_kafka() {
    what_a_topic_refuses_is_a_dead_letter_and_the_rest_counts_once(Broker::Kafka);
}

fn what_a_topic_refuses_is_a_dead_letter_and_the_rest_counts_once(broker: Broker) {
    let group = Group::new(broker, EXACTLY_ONCE, &[("max.message.bytes", "1000")]);
    let mut values: Vec<_> = (0..30).map(evento).collect();
    // This one is emitted, and is too large for the topic.
    let large = format!(r#"{{"id":15,"tipo":"emit","pad":"{}"}}"#, "x".repeat(2_000));
    assert!(fate(15) == Fate::Emits);
    values[15] = large;
    produce_to_one_partition(&group, &values);
    let daemon = group.member("one", "").start();
    group.wait_until_done();
    let emits = (0..30).filter(|n| fate(*n) == Fate::Emits && *n != 15);
    assert_eq!(
        sorted(group.numbers(&group.emitted())),
        emits.collect::<Vec<_>>()
    );
    let dies = (0..30).filter(|n| fate(*n) == Fate::Dies || *n == 15);
    assert_eq!(
        sorted(group.numbers(&group.dead_letters)),
        dies.collect::<Vec<_>>()
    );
    assert_eq!(daemon.metric_sum("eventos_dead_letters_total"), 5.0);
}

fn produce_to_one_partition(group: &Group, values: &[String]) {
    let records = values.iter().map(|value| {
        let record = BaseRecord::<[u8], [u8]>::to(&group.topic);
        record.partition(0).payload(value.as_bytes())
    });
    produce(&group.servers, records);
}

#[test]
fn many_rejected_records_cost_few_transactions_with_the_broker_inside() {
    many_rejected_records_cost_few_transactions(Broker::Embedded);
}

#[test]
fn many_rejected_records_cost_few_transactions_with_kafka() {
    many_rejected_records_cost_few_transactions(Broker::Kafka);
}

/// The broker rejects the first of these records. What its topic accepts is then known, so that the others do not cost
/// a transaction each, in which all records of the batch are produced again.
fn many_rejected_records_cost_few_transactions(broker: Broker) {
    let settings = [("max.message.bytes", "1000")];
    let group = Group::new(broker, EXACTLY_ONCE, &settings);
    let pad = [String::new(), "x".repeat(2_000)];
    let values: Vec<_> = (0..200)
        .map(|n| format!(r#"{{"id":{n},"tipo":"emit","pad":"{}"}}"#, pad[n % 2]))
        .collect();
    produce_to_one_partition(&group, &values);
    // All of them are in one batch, since they are there already.
    let daemon = group.member("one", "").start();
    group.wait_until_done();
    let (even, odd): (Vec<_>, Vec<_>) = (0..200).partition(|n| n % 2 == 0);
    assert_eq!(sorted(group.numbers(&group.emitted())), even);
    assert_eq!(sorted(group.numbers(&group.dead_letters)), odd);
    assert_eq!(daemon.metric_sum("eventos_dead_letters_total"), 100.0);
    // Records of aborted transactions and markers have offsets, too.
    let taken: i64 = end_offsets(&group.servers, &group.emitted()).iter().sum();
    assert!(taken < 1_000, "{taken} offsets are taken for 100 records");
}
