//! A topic that changes under a running daemon.

use eventos_testkit::{
    Broker, Daemon, Setup, add_partitions, delete_topic, ends, eventually, produce,
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
        let before = ends(daemon.broker(), &setup.topic()).len();
        let last = i32::try_from(before).expect("few") + 1;
        add_partitions(daemon.broker(), &setup.topic(), before + 2);
        send_to(&setup, &daemon, last, "to-a-new-one");
        daemon.wait_for_messages(1);
        let mut sent = 1;
        eventually("an Evento without a key in a new partition", || {
            daemon.send(r#"{"id":"somewhere","tipo":"t"}"#);
            sent += 1;
            let ends = ends(daemon.broker(), &setup.topic());
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
        let status = |request: reqwest::blocking::RequestBuilder| {
            let answer = request.send().expect("answered");
            answer.status().as_u16()
        };
        eventually(
            "it to be made again, as topics are that are produced to",
            || {
                let sent = daemon.client().post(daemon.url("/send"));
                let sent = sent.header("content-type", "application/json");
                let status = status(sent.body(r#"{"id":"after","tipo":"t"}"#));
                assert!([200, 503].contains(&status), "{status}");
                (status == 200).then_some(())
            },
        );
        eventually("the new one to be consumed", || {
            let after = daemon.client().get(daemon.url("/messages/after"));
            (status(after) == 200).then_some(())
        });
    }
}
