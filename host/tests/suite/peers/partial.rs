//! `GET /messages` while one instance does not answer.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, eventually};

use super::{Group, GroupAnswer, eventos, spread};

#[test]
fn after_a_kill_the_answer_is_partial_and_says_so_until_the_take_over_with_the_broker_inside() {
    after_a_kill_the_answer_is_partial_and_says_so_until_the_take_over(Broker::Embedded);
}

#[test]
fn after_a_kill_the_answer_is_partial_and_says_so_until_the_take_over_with_kafka() {
    after_a_kill_the_answer_is_partial_and_says_so_until_the_take_over(Broker::Kafka);
}

fn after_a_kill_the_answer_is_partial_and_says_so_until_the_take_over(broker: Broker) {
    let mut group = Group::start(broker, 3);
    spread(&group, 0, &eventos("before", "x", 140));
    group.wait_for_total("", 140);
    let killed = group.daemons.pop().expect("three");
    let url = killed.url("");
    killed.kill();

    for daemon in &group.daemons {
        eventually("the answer to name the killed instance", || {
            let answer = daemon.get("/messages");
            let reasons = answer.reasons();
            (reasons.contains(&format!("{url} cannot be reached"))).then(|| {
                answer.assert_partial();
                assert!((1..140).contains(&answer.total()));
                assert_eq!(answer.ids().len(), answer.total());
                // A missing instance may have the id, so a 404 says so.
                let unknown = daemon.get("/messages/unknown");
                let is_explained =
                    unknown.text.contains("could not be searched") || unknown.is_whole();
                assert!(unknown.status == 404 && is_explained, "{}", unknown.text);
            })
        });
    }
    group.wait_until_whole();
    spread(&group, 1_000, &eventos("after", "y", 140));
    group.wait_for_total("?tipo=y", 140);
    let after = group.daemons[0].get("/messages?tipo=y");
    assert!(after.is_whole());
    assert_eq!(
        after.text,
        format!("[{}]", eventos("after", "y", 140).join(","))
    );
    assert_eq!(group.daemons[1].get("/messages?tipo=y").text, after.text);
}

/// The daemon is stopped by a signal, so that the system accepts connections for it and no answer comes.
#[test]
fn one_that_does_not_answer_in_time_is_named_and_not_waited_for() {
    // The default session timeout of 45 s keeps it in the group in the meantime.
    let mut group = Group::with_one(Broker::Embedded, "");
    let setup = group.another(Broker::Embedded, "");
    group.join(setup);
    group.wait_until_whole();
    spread(&group, 0, &eventos("a", "x", 140));
    group.wait_for_total("", 140);
    let slow = &group.daemons[1];
    slow.signal("STOP");
    let began = Instant::now();
    let partial = group.daemons[0].get("/messages");
    let took = began.elapsed();
    let newest_first = group.daemons[0].get("/messages?order=desc");
    slow.signal("CONT");
    partial.assert_partial();
    let reason = format!("{} did not respond within 2s", slow.url(""));
    assert!(partial.reasons().contains(&reason), "{}", partial.reasons());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!((1..140).contains(&partial.total()));

    // In either order, the next page has what was missing on the first.
    group.wait_until_whole();
    for (first, order) in [(partial, "asc"), (newest_first, "desc")] {
        let rest = format!("/messages?order={order}&after={}", first.cursor());
        let rest = group.daemons[0].get(&rest);
        let mut both = [first.ids(), rest.ids()].concat();
        both.sort();
        let mut all = group.daemons[1].get("/messages").ids();
        all.sort();
        assert_eq!(both, all, "{order}");
    }
}
