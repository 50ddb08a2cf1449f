//! `GET /messages` while every instance responds.

use eventos_testkit::{Broker, eventually, free_port};

use super::{Group, GroupAnswer, PARTITIONS, QUICK, eventos, spread};
use crate::http::NewKey;

#[test]
fn three_answer_alike_for_all_partitions_with_the_broker_inside() {
    three_answer_alike_for_all_partitions(Broker::Embedded);
}

#[test]
fn three_answer_alike_for_all_partitions_with_kafka() {
    three_answer_alike_for_all_partitions(Broker::Kafka);
}

fn three_answer_alike_for_all_partitions(broker: Broker) {
    let group = Group::start(broker, 3);
    let batches = [("a", "x"), ("b", "y"), ("c", "x")];
    let batches = batches.map(|(name, tipo)| eventos(name, tipo, 120));
    for (since, batch) in [0, 1_000, 2_000].into_iter().zip(&batches) {
        spread(&group, since, batch);
    }
    group.wait_for_total("", 360);
    // Each daemon stores some of the Eventos, and no two store the same.
    let parts = group.daemons.iter();
    let parts: Vec<_> = parts
        .map(|it| it.metric_sum("eventos_store_events"))
        .collect();
    assert!(
        parts.iter().all(|&part| part > 0.0 && part < 360.0),
        "{parts:?}"
    );
    assert!((parts.iter().sum::<f64>() - 360.0).abs() < 0.5, "{parts:?}");

    let whole = group.daemons[0].get("/messages");
    assert!(whole.is_whole());
    assert_eq!(whole.header("x-partitions"), Some("7"));
    assert_eq!(whole.next_page(), None);
    // The texts are the same, in the order of the timestamps.
    assert_eq!(whole.text, format!("[{}]", batches.concat().join(",")));

    let mut newest_first = whole.ids();
    newest_first.reverse();
    for daemon in &group.daemons {
        for query in ["", "?limit=1000000"] {
            let answer = daemon.get(&format!("/messages{query}"));
            assert_eq!(answer.text, whole.text);
            assert!(answer.is_whole());
        }
        assert_eq!(daemon.get("/messages?order=desc").ids(), newest_first);
        let of_tipo = daemon.get("/messages?tipo=y");
        assert_eq!(of_tipo.total(), 120);
        assert_eq!(of_tipo.text, format!("[{}]", batches[1].join(",")));
        let of_id = daemon.get("/messages?id=c-7&tipo=x");
        assert_eq!((of_id.total(), of_id.ids()), (1, vec!["c-7".to_owned()]));
        for (id, evento) in [
            ("a-0", &batches[0][0]),
            ("b-55", &batches[1][55]),
            ("c-119", &batches[2][119]),
        ] {
            let newest = daemon.get(&format!("/messages/{id}"));
            assert_eq!((newest.status.as_u16(), &newest.text), (200, evento));
            assert_eq!(newest.header("content-type"), Some("application/json"));
            assert!(newest.is_whole());
        }
        let unknown = daemon.get("/messages/unknown");
        assert_eq!(unknown.status, 404);
        assert!(
            unknown.is_whole() && !unknown.text.contains("asked"),
            "{}",
            unknown.text
        );
    }
    assert_newest_of_the_group(&group);
}

/// `GET /messages/{id}` returns the newest one of the whole group.
fn assert_newest_of_the_group(group: &Group) {
    for (i, daemon) in group.daemons.iter().cycle().take(6).enumerate() {
        let again = format!(r#"{{"id":"again","tipo":"z","n":{i}}}"#);
        daemon.send_all(std::slice::from_ref(&again));
        group.wait_for_total("?tipo=z", i + 1);
        for daemon in &group.daemons {
            assert_eq!(daemon.get("/messages/again").text, again);
        }
    }
}

/// If a daemon listens on every address, it has no URL that others could use, unless `http.advertise` is set.
#[test]
fn one_that_listens_on_every_address_is_asked_at_the_url_that_it_advertises() {
    let secret = ("EVENTOS__PEERS__SECRET", "s".repeat(32));
    // What other machines can reach needs a key.
    let key = NewKey::with(&["--scopes", "read,send"]);
    let off_loopback = |group: &Group, listen: &str| {
        let mut setup = group.another(Broker::Embedded, QUICK);
        setup.set_env("EVENTOS__HTTP__LISTEN", listen);
        setup.add_config(&format!("\n{}", key.table));
        setup.set_env(secret.0, &secret.1);
        setup.key = Some(key.key.clone());
        setup
    };
    let mut group = Group::with_one_and(Broker::Embedded, QUICK, &[(secret.0, &secret.1)]);
    group.wait_until_whole();
    let hidden = off_loopback(&group, "0.0.0.0:0");
    let hidden = hidden.start();
    eventually("the answer to name the member without a URL", || {
        let answer = group.daemons[0].get("/messages");
        let reason = "the group member \"eventos\" does not advertise a URL";
        answer
            .reasons()
            .contains(reason)
            .then(|| answer.assert_partial())
    });
    // The member itself can ask the others.
    eventually("an answer for the whole group", || {
        hidden.get("/messages").is_whole().then_some(())
    });
    assert_eq!(hidden.stop().code(), Some(0));

    let port = free_port();
    let mut advertising = off_loopback(&group, &format!("0.0.0.0:{port}"));
    let url = format!("http://127.0.0.1:{port}");
    advertising.set_env("EVENTOS__HTTP__ADVERTISE", &url);
    group.join(advertising);
    eventually("both daemons to have partitions and to answer", || {
        let own = group.daemons[0].get("/partitions").json();
        let has_a_part = own.as_array()?.len() < PARTITIONS as usize;
        (has_a_part && group.daemons[0].get("/messages").is_whole()).then_some(())
    });
    spread(&group, 0, &eventos("a", "x", 70));
    group.wait_for_total("", 70);
}
