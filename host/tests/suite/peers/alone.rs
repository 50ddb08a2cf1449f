//! A group of one instance.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, Setup};

use super::{Group, GroupAnswer, QUICK, eventos, spread};
use crate::EVENTOS;

/// While the broker is stopped by a signal, a request that involved it would take long.
#[test]
fn alone_it_asks_nobody() {
    let mut broker = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    broker.set_env("EVENTOS__EMBEDDED__PARTITIONS", "7");
    let broker = broker.start();
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.servers = broker.broker().to_owned();
    let daemon = setup.start();
    let group = Group {
        setups: vec![setup],
        daemons: vec![daemon],
    };
    spread(&group, 0, &eventos("a", "x", 50));
    group.wait_for_total("", 50);
    group.wait_until_whole();

    broker.signal("STOP");
    let began = Instant::now();
    let answers: Vec<_> = (0..20).map(|_| group.daemons[0].get("/messages")).collect();
    let took = began.elapsed();
    broker.signal("CONT");
    assert!(took < Duration::from_millis(900), "{took:?}");
    for answer in answers {
        assert!(answer.is_whole());
        assert_eq!(answer.total(), 50);
    }
}

/// A daemon responds to a peer only for its own partitions, so no request goes round in circles.
#[test]
fn what_it_is_asked_by_another_it_answers_for_itself() {
    let group = Group::start(Broker::Embedded, 1);
    spread(&group, 0, &eventos("a", "x", 70));
    group.wait_for_total("", 70);
    let mut other = group.another(Broker::Embedded, QUICK);
    other.name += "-other";
    let other = other.start();

    // The body is binary.
    let rows = group.daemons[0]
        .client()
        .get(group.daemons[0].url("/peers/messages?partitions=0-2,9&limit=1000"));
    let rows = rows.send().expect("the daemon answers");
    assert_eq!(rows.status(), 200);
    assert_eq!(
        rows.headers()["content-type"],
        "application/vnd.eventos.rows-1"
    );
    assert_eq!(rows.headers()["x-partitions-covered"], "0-2");
    let total: usize = rows.headers()["x-total-count"]
        .to_str()
        .expect("text")
        .parse()
        .expect("a number");
    let rows = rows.bytes().expect("a body");
    let count = |of: &[u8]| rows.windows(of.len()).filter(|there| *there == of).count();
    assert_eq!(count(br#"{ "tipo":"x", "n":"#), total);
    assert!((1..70).contains(&total));
    // A daemon of another group shows nothing of this one.
    assert_eq!(other.get("/messages").text, "[]");

    for (query, named) in [
        ("", "partitions"),
        ("?partitions=a", "partitions"),
        ("?partitions=0&x=1", "x"),
    ] {
        let refused = group.daemons[0].get(&format!("/peers/messages{query}"));
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains(named), "{}", refused.text);
    }
    let refused = group.daemons[0].get("/messages?partitions=0");
    assert_eq!(refused.status, 400);
}
