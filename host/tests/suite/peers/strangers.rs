//! Members of the group that are no daemons, and groups that cannot be looked into.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use eventos_testkit::{Broker, eventually};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{Group, eventos, get, spread};

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
    // A URL with a password is none that is asked.
    let stranger: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", group.daemons[0].broker())
        .set("group.id", &group.setups[0].name)
        .set("client.id", "http://user:secret@127.0.0.1:1")
        // Whoever is in one group has to agree on how it is shared out.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .create()
        .expect("a client");
    let topic = group.setups[0].topic();
    stranger.subscribe(&[&topic]).expect("subscribed");
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stranger = scope.spawn(|| {
            while !gone.load(Relaxed) {
                let _ = stranger.poll(Duration::from_millis(50));
            }
            stranger.unsubscribe();
        });
        // Ends the thread too if what follows fails.
        let _over = Over(&gone);
        for daemon in &group.daemons {
            let named =
                "the group member \"http://user:secret@127.0.0.1:1\" does not advertise a URL";
            let answer = eventually("the stranger to be named", || {
                let answer = get(daemon, "/messages");
                let missing = answer.header("x-partitions-missing")?;
                let all_said = format!("{missing}: {named}") == answer.reasons();
                all_said.then_some(answer)
            });
            answer.assert_partial();
            assert!(answer.total() < 140);
        }
    });
    drop(stranger);
    group.wait_until_whole();
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// `DescribeGroups` does not show who joined by the protocol of KIP-848.
#[test]
fn in_a_group_of_kip_848_each_answers_for_its_own_part_and_says_so() {
    let protocol = "[kafka.properties]\n\"group.protocol\" = \"consumer\"";
    let mut group = Group::with_one(Broker::Kafka, protocol);
    group.wait_until_whole();
    let setup = group.another(Broker::Kafka, protocol);
    group.join(setup);
    for daemon in &group.daemons {
        eventually("a part each", || {
            let answer = get(daemon, "/messages");
            let nobody = "no member of the group currently owns these partitions";
            (answer.reasons().contains(nobody)).then(|| answer.assert_partial())
        });
    }
}
