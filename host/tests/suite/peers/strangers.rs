//! Groups with members that are not daemons, and groups that the broker does not describe.

use eventos_testkit::{Broker, IdleMember, eventually};

use super::{Group, GroupAnswer, eventos, spread};

#[test]
fn a_member_that_is_no_daemon_is_named_with_what_it_has_with_the_broker_inside() {
    a_member_that_is_no_daemon_is_named_with_what_it_has(Broker::Embedded);
}

#[test]
fn a_member_that_is_no_daemon_is_named_with_what_it_has_with_kafka() {
    a_member_that_is_no_daemon_is_named_with_what_it_has(Broker::Kafka);
}

fn a_member_that_is_no_daemon_is_named_with_what_it_has(broker: Broker) {
    let group = Group::start(broker, 2);
    spread(&group, 0, &eventos("a", "x", 140));
    group.wait_for_total("", 140);
    // A daemon never connects to a URL with a password.
    let url = "http://user:secret@127.0.0.1:1";
    let (servers, setup) = (group.daemons[0].broker(), &group.setups[0]);
    let stranger = IdleMember::join(servers, &setup.name, &setup.topic(), url);
    for daemon in &group.daemons {
        let answer = eventually("the answer to name the stranger", || {
            let answer = daemon.get("/messages");
            let missing = answer.header("x-partitions-missing")?;
            let reason = format!("{missing}: the group member {url:?} does not advertise a URL");
            (answer.reasons() == reason).then_some(answer)
        });
        answer.assert_partial();
        assert!(answer.total() < 140);
    }
    drop(stranger);
    group.wait_until_whole();
}

/// `DescribeGroups` does not show the members of a group that uses the protocol of KIP-848.
#[test]
fn in_a_group_of_kip_848_each_answers_for_its_own_part_and_says_so() {
    let protocol = "[kafka.properties]\n\"group.protocol\" = \"consumer\"";
    let mut group = Group::with_one(Broker::Kafka, protocol);
    group.wait_until_whole();
    let setup = group.another(Broker::Kafka, protocol);
    group.join(setup);
    for daemon in &group.daemons {
        eventually("some partitions for each daemon", || {
            let answer = daemon.get("/messages");
            let reason = "no member of the group currently owns these partitions";
            (answer.reasons().contains(reason)).then(|| answer.assert_partial())
        });
    }
}
