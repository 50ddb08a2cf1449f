//! Pages by cursor, each from another instance.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Instant,
};

use eventos_testkit::{Broker, DEADLINE};

use super::{Group, eventos, get, send_all, spread};

#[test]
fn pages_from_any_instance_neither_miss_nor_repeat_with_the_broker_inside() {
    pages_from_any_instance_neither_miss_nor_repeat(Broker::Embedded);
}

#[test]
fn pages_from_any_instance_neither_miss_nor_repeat_with_kafka() {
    pages_from_any_instance_neither_miss_nor_repeat(Broker::Kafka);
}

fn pages_from_any_instance_neither_miss_nor_repeat(broker: Broker) {
    let group = Group::start(broker, 3);
    spread(&group, 0, &eventos("first", "x", 100));
    group.wait_for_total("", 100);
    let newest_first = get(&group.daemons[1], "/messages?order=desc").ids();

    let (over, mut shown) = (AtomicBool::new(false), Vec::new());
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 100;
            for (i, daemon) in group.daemons.iter().cycle().take(30).enumerate() {
                send_all(
                    daemon,
                    &eventos(&format!("{i}"), if i % 2 == 0 { "x" } else { "y" }, 20),
                );
                sent += 20;
            }
            over.store(true, Relaxed);
            sent
        });
        // Downwards it is what was there, or came before the first page was asked for.
        let mut at = Some("/messages?order=desc&limit=9".to_owned());
        let mut read = Vec::new();
        for daemon in group.daemons.iter().cycle() {
            let Some(url) = at else { break };
            let page = get(daemon, &url);
            assert!(page.is_whole());
            read.extend(page.ids());
            at = page.next();
        }
        let old = read.iter().filter(|id| id.starts_with("first"));
        assert!(old.eq(&newest_first));
        let once: BTreeSet<_> = read.iter().collect();
        assert_eq!(once.len(), read.len(), "something is shown twice");

        // Upwards, what comes meanwhile comes too.
        let (mut cursor, deadline) = ("-".to_owned(), Instant::now() + DEADLINE);
        for daemon in group.daemons.iter().cycle() {
            assert!(Instant::now() < deadline, "{} are shown", shown.len());
            let all = over.load(Relaxed);
            let page = get(daemon, &format!("/messages?limit=13&after={cursor}"));
            assert!(page.is_whole());
            cursor = page.cursor().to_owned();
            let ids = page.ids();
            shown.extend(ids.iter().cloned());
            // What was acknowledged may not have been handled yet.
            if all && ids.is_empty() && page.total() == 700 {
                break;
            }
        }
        sender.join().expect("no panic")
    });
    assert_eq!(shown.len(), sent, "each is shown once");
    let once: BTreeSet<_> = shown.iter().collect();
    assert_eq!(once.len(), sent);

    // By links, with filters, to the end and no further.
    for query in [
        "limit=50",
        "limit=7&tipo=y",
        "limit=64&order=desc",
        "limit=100&tipo=x&order=desc",
        "limit=700",
    ] {
        let whole = get(
            &group.daemons[0],
            &format!("/messages?{}", query.replace("limit=", "limit=1000")),
        );
        let mut at = Some(format!("/messages?{query}"));
        let mut read = Vec::new();
        for daemon in group.daemons.iter().cycle() {
            let Some(url) = at else { break };
            let page = get(daemon, &url);
            assert_eq!(page.total(), whole.total());
            assert!(!page.text.contains("[]"), "a link to nothing: {query}");
            read.extend(page.ids());
            at = page.next();
        }
        assert_eq!(read, whole.ids(), "{query}");
    }
}
