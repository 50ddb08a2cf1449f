//! A group whose instances prove themselves to one another.

use eventos_testkit::{Broker, eventually};

use super::{Group, GroupAnswer as _, QUICK, eventos, spread};

const SECRET: &str = "EVENTOS__PEERS__SECRET";

#[test]
fn instances_with_one_secret_answer_for_one_another_and_nobody_else() {
    let mut group = Group::with_one_and(Broker::Embedded, QUICK, &[(SECRET, &"s".repeat(32))]);
    let mut second = group.another(Broker::Embedded, QUICK);
    second.set_env(SECRET, &"s".repeat(32));
    group.join(second);
    group.wait_until_whole();
    for daemon in &group.daemons {
        let rows = daemon.get("/peers/messages?partitions=0-6");
        assert_eq!(rows.status, 401, "{}", rows.text);
        let rewind = daemon.post_body(
            "/peers/replay",
            "application/vnd.eventos.replay-1+json",
            "{}",
        );
        assert_eq!(rewind.status, 401, "{}", rewind.text);
    }
    let replay = group.daemons[0].post("/replay?from=earliest&dry_run=true");
    assert_eq!(replay.status, 200, "{}", replay.text);
}

/// While a group is upgraded, or its secret replaced, some instances have another secret or none.
#[test]
fn instances_with_another_secret_go_on_and_say_what_is_missing() {
    for other in ["t".repeat(32), String::new()] {
        let secret = "s".repeat(32);
        let mut group = Group::with_one_and(Broker::Embedded, QUICK, &[(SECRET, &secret)]);
        let mut second = group.another(Broker::Embedded, QUICK);
        second.set_env(SECRET, &other);
        group.join(second);
        for daemon in &group.daemons {
            eventually("the answer to say what to set", || {
                let answer = daemon.get("/messages");
                assert_eq!(answer.status, 200);
                let says = answer.reasons().contains("peers.secret");
                says.then(|| answer.assert_partial())
            });
        }
        spread(&group, 0, &eventos("a", "x", 70));
        eventually("both to consume their parts", || {
            let parts = group.daemons.iter();
            let parts = parts.map(|daemon| daemon.get("/messages").total());
            (parts.sum::<usize>() == 70).then_some(())
        });
        let replay = group.daemons[0].post("/replay?from=earliest");
        assert_eq!(replay.status, 409, "{}", replay.text);
        assert!(!group.daemons[0].log().contains(&secret));
    }
}
