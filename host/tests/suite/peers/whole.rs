//! While every instance can be asked.

use eventos_testkit::{Broker, eventually, free_port};

use super::{ALL, Group, QUICK, eventos, get, send_all, spread};

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
    // Each has a part of it, and only that.
    let parts = group.daemons.iter();
    let parts: Vec<_> = parts.map(|it| it.sum("eventos_store_events")).collect();
    assert!(
        parts.iter().all(|&part| part > 0.0 && part < 360.0),
        "{parts:?}"
    );
    assert!((parts.iter().sum::<f64>() - 360.0).abs() < 0.5, "{parts:?}");

    let whole = get(&group.daemons[0], "/messages");
    assert!(whole.is_whole());
    assert_eq!(whole.header("x-partitions"), Some("7"));
    assert_eq!(whole.next(), None);
    // To the letter, and in the order of their times.
    assert_eq!(whole.text, format!("[{}]", batches.concat().join(",")));

    let mut newest_first = whole.ids();
    newest_first.reverse();
    for daemon in &group.daemons {
        for query in ["", "?limit=1000000"] {
            let answer = get(daemon, &format!("/messages{query}"));
            assert_eq!(answer.text, whole.text);
            assert!(answer.is_whole());
        }
        assert_eq!(get(daemon, "/messages?order=desc").ids(), newest_first);
        let of_tipo = get(daemon, "/messages?tipo=y");
        assert_eq!(of_tipo.total(), 120);
        assert_eq!(of_tipo.text, format!("[{}]", batches[1].join(",")));
        let of_id = get(daemon, "/messages?id=c-7&tipo=x");
        assert_eq!((of_id.total(), of_id.ids()), (1, vec!["c-7".to_owned()]));
        for (id, evento) in [
            ("a-0", &batches[0][0]),
            ("b-55", &batches[1][55]),
            ("c-119", &batches[2][119]),
        ] {
            let newest = get(daemon, &format!("/messages/{id}"));
            assert_eq!((newest.status.as_u16(), &newest.text), (200, evento));
            assert_eq!(newest.header("content-type"), Some("application/json"));
            assert!(newest.is_whole());
        }
        let nobody = get(daemon, "/messages/nobody");
        assert_eq!(nobody.status, 404);
        assert!(
            nobody.is_whole() && !nobody.text.contains("asked"),
            "{}",
            nobody.text
        );
    }

    // The newest with an id is the newest of all, wherever it lies.
    for (i, daemon) in group.daemons.iter().cycle().take(6).enumerate() {
        let again = format!(r#"{{"id":"again","tipo":"z","n":{i}}}"#);
        send_all(daemon, std::slice::from_ref(&again));
        group.wait_for_total("?tipo=z", i + 1);
        for daemon in &group.daemons {
            assert_eq!(get(daemon, "/messages/again").text, again);
        }
    }
}

/// On every address there is no URL that others could use, unless one is set.
#[test]
fn one_that_listens_on_every_address_is_asked_at_the_url_that_it_advertises() {
    let mut group = Group::start(Broker::Embedded, 1);
    let mut hidden = group.another(Broker::Embedded, QUICK);
    hidden.set("EVENTOS__HTTP__LISTEN", "0.0.0.0:0");
    let hidden = hidden.start();
    eventually("what has no URL to be named", || {
        let answer = get(&group.daemons[0], "/messages");
        let named = "the group member \"eventos\" does not advertise a URL";
        answer
            .reasons()
            .contains(named)
            .then(|| answer.assert_partial())
    });
    // It can ask all the same.
    eventually("the other to be asked", || {
        get(&hidden, "/messages").is_whole().then_some(())
    });
    assert_eq!(hidden.stop().code(), Some(0));

    let mut advertising = group.another(Broker::Embedded, QUICK);
    let port = free_port();
    advertising.set("EVENTOS__HTTP__LISTEN", &format!("0.0.0.0:{port}"));
    let url = format!("http://127.0.0.1:{port}");
    advertising.set("EVENTOS__HTTP__ADVERTISE", &url);
    group.join(advertising);
    eventually("both to have some, and to be asked", || {
        let lag = |daemon: &eventos_testkit::Daemon| {
            get(
                daemon,
                &format!("/peers/messages?partitions={}", super::ALL),
            )
        };
        let own = lag(&group.daemons[0]);
        let part = own.header("x-partitions-covered")? != ALL;
        (part && get(&group.daemons[0], "/messages").is_whole()).then_some(())
    });
    spread(&group, 0, &eventos("a", "x", 70));
    group.wait_for_total("", 70);
}
