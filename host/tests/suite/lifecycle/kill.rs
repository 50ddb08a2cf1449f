//! `kill -9` in the middle of the work.

use eventos_testkit::{Broker, committed, ends, eventually};

use super::{batch::send_batch, setup};

#[test]
fn what_was_acknowledged_before_a_kill_is_in_the_topic_once_with_the_broker_inside() {
    what_was_acknowledged_before_a_kill_is_in_the_topic_once(Broker::Embedded);
}

#[test]
fn what_was_acknowledged_before_a_kill_is_in_the_topic_once_with_kafka() {
    what_was_acknowledged_before_a_kill_is_in_the_topic_once(Broker::Kafka);
}

fn what_was_acknowledged_before_a_kill_is_in_the_topic_once(broker: Broker) {
    let setup = setup(broker);
    let daemon = setup.start();
    let acknowledged = send_batch(&daemon, "t", 30_000, || daemon.signal("KILL"));
    assert!(!acknowledged.is_whole(), "it was over before the kill");
    daemon.kill();

    let daemon = setup.start();
    acknowledged.assert_in_topic_once(daemon.broker(), &setup.topic());
    // And the work goes on: what was there, and what comes now.
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    eventually("all of it to be handled", || {
        let ends = ends(daemon.broker(), &setup.topic());
        (committed(daemon.broker(), &setup.name, &setup.topic()) == ends).then_some(())
    });
    let after = daemon.client().get(daemon.url("/messages/after")).send();
    assert_eq!(after.expect("answered").status(), 200);
}
