//! Paging with a cursor, where each page comes from another instance.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Instant,
};

use eventos_testkit::{Broker, DEADLINE};

use super::{Group, GroupAnswer, eventos, spread};

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
    let newest_first = group.daemons[1].get("/messages?order=desc").ids();

    let (over, mut shown) = (AtomicBool::new(false), Vec::new());
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 100;
            for (i, daemon) in group.daemons.iter().cycle().take(30).enumerate() {
                daemon.send_all(&eventos(
                    &format!("{i}"),
                    if i % 2 == 0 { "x" } else { "y" },
                    20,
                ));
                sent += 20;
            }
            over.store(true, Relaxed);
            sent
        });
        // Newest first, the pages show what was there when the first one was requested.
        let mut at = Some("/messages?order=desc&limit=9".to_owned());
        let mut read = Vec::new();
        for daemon in group.daemons.iter().cycle() {
            let Some(url) = at else { break };
            let page = daemon.get(&url);
            assert!(page.is_whole());
            read.extend(page.ids());
            at = page.next_page();
        }
        let old = read.iter().filter(|id| id.starts_with("first"));
        assert!(old.eq(&newest_first));
        let once: BTreeSet<_> = read.iter().collect();
        assert_eq!(once.len(), read.len(), "no Evento is on two pages");

        // Oldest first, the pages also show what is sent in the meantime.
        let (mut cursor, deadline) = ("-".to_owned(), Instant::now() + DEADLINE);
        for daemon in group.daemons.iter().cycle() {
            assert!(Instant::now() < deadline, "{} are shown", shown.len());
            let all = over.load(Relaxed);
            let page = daemon.get(&format!("/messages?limit=13&after={cursor}"));
            assert!(page.is_whole());
            cursor = page.cursor().to_owned();
            let ids = page.ids();
            shown.extend(ids.iter().cloned());
            // An acknowledged Evento may not be stored yet, so an empty page is not necessarily the last one.
            if all && ids.is_empty() && page.total() == 700 {
                break;
            }
        }
        sender.join().expect("no panic")
    });
    assert_eq!(shown.len(), sent, "every Evento is shown once");
    let once: BTreeSet<_> = shown.iter().collect();
    assert_eq!(once.len(), sent);

    assert_links_lead_to_the_end(&group);
}

/// Links with filters lead to the end, and the last page is not empty.
fn assert_links_lead_to_the_end(group: &Group) {
    for query in [
        "limit=50",
        "limit=7&tipo=y",
        "limit=64&order=desc",
        "limit=100&tipo=x&order=desc",
        "limit=700",
    ] {
        let whole = group.daemons[0].get(&format!(
            "/messages?{}",
            query.replace("limit=", "limit=1000")
        ));
        let mut at = Some(format!("/messages?{query}"));
        let mut read = Vec::new();
        for daemon in group.daemons.iter().cycle() {
            let Some(url) = at else { break };
            let page = daemon.get(&url);
            assert_eq!(page.total(), whole.total());
            assert!(
                !page.text.contains("[]"),
                "{query}: a link leads to an empty page"
            );
            read.extend(page.ids());
            at = page.next_page();
        }
        assert_eq!(read, whole.ids(), "{query}");
    }
}
