//! A topic that gets more partitions or is deleted while the daemon runs.

use eventos_testkit::{
    Broker, Daemon, Setup, add_partitions, create_topic, delete_topic, end_offsets, eventually,
    produce,
};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

fn send_to(setup: &Setup, daemon: &Daemon, partition: i32, id: &str) {
    let (topic, evento) = (setup.topic(), format!(r#"{{"id":"{id}","tipo":"t"}}"#));
    let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition);
    produce(daemon.broker(), [record.payload(evento.as_bytes())]);
}

#[test]
fn partitions_that_are_added_are_consumed_and_produced_to() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let setup = Setup::new(EVENTOS, broker, &["store"], "");
        let daemon = setup.start();
        let before = end_offsets(daemon.broker(), &setup.topic()).len();
        let last = i32::try_from(before).expect("a count") + 1;
        add_partitions(daemon.broker(), &setup.topic(), before + 2);
        send_to(&setup, &daemon, last, "to-a-new-partition");
        daemon.wait_for_messages(1);
        let mut sent = 1;
        eventually("an Evento without a key in a new partition", || {
            daemon.send(r#"{"id":"somewhere","tipo":"t"}"#);
            sent += 1;
            let ends = end_offsets(daemon.broker(), &setup.topic());
            (ends[before..].iter().sum::<i64>() > 1).then_some(())
        });
        daemon.wait_for_messages(sent);
    }
}

#[test]
fn a_topic_that_is_deleted_is_made_again_and_consumed_from_its_beginning() {
    for broker in [Broker::Embedded, Broker::Kafka] {
        let setup = Setup::new(EVENTOS, broker, &["store"], "");
        let daemon = setup.start();
        for i in 0..100 {
            send_to(&setup, &daemon, 0, &format!("before-{i}"));
        }
        daemon.wait_for_messages(100);
        delete_topic(daemon.broker(), &setup.topic());
        eventually("the broker to create the topic again", || {
            let evento = r#"{"id":"after","tipo":"t"}"#;
            let answer = daemon.post_body("/send", "application/json", evento);
            let status = answer.status.as_u16();
            assert!([200, 503].contains(&status), "{status}");
            (status == 200).then_some(())
        });
        eventually("the new topic to be consumed", || {
            (daemon.get("/messages/after").status == 200).then_some(())
        });
    }
}

/// To Kafka, "a.b" and "a_b" are the same name.
#[test]
fn a_topic_name_that_the_broker_rejects_is_reported_as_such() {
    let mut setup = Setup::new(EVENTOS, Broker::Kafka, &["store"], "");
    let (taken, topic) = (format!("{}.x", setup.name), format!("{}_x", setup.name));
    create_topic(&Broker::Kafka.servers(), &taken, 1);
    setup.set_env("EVENTOS__KAFKA__TOPIC", &topic);
    let (status, log) = setup.start_listening().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!("error: cannot create the topic {topic}: the broker rejects the name;");
    assert!(log.contains(&error), "{log}");
}
