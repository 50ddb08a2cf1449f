//! SIGKILL in the middle of a batch.

use eventos_testkit::Broker;

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
    assert!(
        !acknowledged.is_complete(),
        "the batch was done before the kill"
    );
    daemon.kill();

    let daemon = setup.start();
    acknowledged.assert_in_topic_once(daemon.broker(), &setup.topic());
    // The daemon handles the records that were left, and a new one.
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    setup.wait_until_committed(&daemon);
    daemon.get("/messages/after").assert_status(200);
}
