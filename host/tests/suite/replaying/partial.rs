//! While a part of the group cannot be rewound: the rest is, and the answer names who has the part.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use eventos_testkit::ask_from_a_shell;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{group::Group, *};
use crate::EVENTOS;

/// After how many milliseconds the group takes a member for dead.
const SESSION: &str = "EVENTOS__KAFKA__PROPERTIES__SESSION__TIMEOUT__MS";

/// What was told of the partitions that were not rewound: status and reason.
fn left(answer: &Value) -> Vec<(&str, &str)> {
    let partitions = answer["partitions"].as_array().expect("an array").iter();
    partitions
        .filter(|told| told["why"].is_string())
        .map(|told| {
            let [status, why] = ["status", "why"].map(|name| told[name].as_str());
            (status.expect("a text"), why.expect("a text"))
        })
        .collect()
}

#[test]
fn after_a_kill_the_rest_is_rewound_and_the_killed_one_named_with_the_broker_inside() {
    after_a_kill_the_rest_is_rewound_and_the_killed_one_named(Broker::Embedded);
}

#[test]
fn after_a_kill_the_rest_is_rewound_and_the_killed_one_named_with_kafka() {
    after_a_kill_the_rest_is_rewound_and_the_killed_one_named(Broker::Kafka);
}

fn after_a_kill_the_rest_is_rewound_and_the_killed_one_named(broker: Broker) {
    let mut group = Group::filled(broker, 3, &[(SESSION, "15000")], 40);
    let before = group.daemons[0].messages("");
    let killed = group.daemons.pop().expect("three");
    let url = killed.url("");
    killed.kill();
    let consumed = group.consumed();

    let (status, answer) = ask(&group.daemons[0], "/replay?from=8");
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["partial"], true);
    let reason = format!("{url} owns it and cannot be reached: ");
    let lost = left(&answer);
    assert!((1..=2).contains(&lost.len()), "{answer}");
    for (status, why) in &lost {
        assert_eq!(*status, "elsewhere");
        assert!(why.starts_with(&reason), "{why}");
    }
    let others = fates(&answer);
    let rewound = others
        .iter()
        .filter(|&&it| it == ("rewound", Some(10), Some(8)));
    assert_eq!(rewound.count(), 4 - lost.len());
    let records = 2 * (4 - lost.len());
    assert_eq!(answer["records"], records);
    group.wait_for_consumed(consumed + f64::from(u32::try_from(records).expect("few")));

    let (code, out, err) = ask_from_a_shell(
        EVENTOS,
        "replay",
        &group.daemons[1].url(""),
        &["--from", "9"],
    );
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains(&format!(": elsewhere: {reason}")), "{out}");
    assert!(err.contains("not every partition was rewound"), "{err}");

    // Once the others have taken over, they rewind that too.
    group.wait_until_shared();
    for daemon in &group.daemons {
        daemon.wait_until_ready();
    }
    group.wait_for_committed();
    let answer = replay(&group.daemons[1], "from=earliest");
    assert_eq!(fates(&answer), [("rewound", Some(10), Some(0)); 4]);
    group.wait_for_committed();
    for daemon in &group.daemons {
        daemon.wait_for_messages(40);
        assert_eq!(daemon.messages(""), before, "stored anew, not twice");
    }
}

/// It is stopped, so that connections are taken and nothing comes.
#[test]
fn one_that_does_not_answer_in_time_is_named_and_nothing_is_lost() {
    let group = Group::filled(Broker::Embedded, 2, &[(SESSION, "120000")], 40);
    let slow = &group.daemons[1];
    slow.signal("STOP");
    let (status, answer) = ask(&group.daemons[0], "/replay?from=8");
    slow.signal("CONT");
    assert_eq!(status, 409, "{answer}");
    let reason = format!(
        "{} owns it and did not respond within 20s; it may have been rewound nevertheless",
        slow.url("")
    );
    assert_eq!(left(&answer), [("failed", reason.as_str()); 2]);
    assert_eq!(answer["records"], 4);
    group.wait_until_shared();
    let answer = replay(&group.daemons[0], "from=earliest");
    assert_eq!(answer["partial"], false);
    group.wait_for_committed();
    for daemon in &group.daemons {
        daemon.wait_for_messages(40);
    }
}

#[test]
fn a_stranger_in_the_group_is_named_with_the_broker_inside() {
    a_stranger_in_the_group_is_named(Broker::Embedded);
}

#[test]
fn a_stranger_in_the_group_is_named_with_kafka() {
    a_stranger_in_the_group_is_named(Broker::Kafka);
}

/// A URL with a password is none that is told anything.
fn a_stranger_in_the_group_is_named(broker: Broker) {
    let group = Group::filled(broker, 1, &[], 40);
    let stranger = "http://user:secret@127.0.0.1:1";
    let named = format!("the group member {stranger:?} does not advertise a URL");
    with_a_member(&group, stranger, || {
        eventually("the stranger to be named", || {
            let (status, answer) = ask(&group.daemons[0], "/replay?from=4000");
            let all = left(&answer);
            let found = status == 409 && all == [("elsewhere", named.as_str()); 2];
            found.then_some(())
        });
    });
}

/// `DescribeGroups` does not show who joined by that protocol.
#[test]
fn in_a_group_of_kip_848_each_rewinds_its_own_part_and_says_so() {
    let protocol = [("EVENTOS__KAFKA__PROPERTIES__GROUP__PROTOCOL", "consumer")];
    let group = Group::starting(Broker::Kafka, 2, &protocol);
    fill(&group.setup, &group.daemons[0], 0..40);
    group.wait_for_committed();
    let reason = (
        "elsewhere",
        "no member of the group currently owns these partitions",
    );
    for daemon in &group.daemons {
        let answer = eventually("a part each", || {
            let (status, answer) = ask(daemon, "/replay?from=8");
            (status == 409 && left(&answer) == [reason; 2]).then_some(answer)
        });
        let others = fates(&answer);
        let own = others.iter().filter(|fate| fate.0 != "elsewhere");
        assert_eq!(own.count(), 2, "{answer}");
    }
    group.wait_for_committed();
}

/// As a daemon of a version answers that does not know of it.
#[test]
fn a_member_of_another_version_is_named() {
    let group = Group::filled(Broker::Embedded, 1, &[], 40);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (requests, gone) = (Mutex::default(), AtomicBool::new(false));
    let url = format!("http://{address}");
    let named = format!(
        "{url} owns it and sent an unexpected response; it may run another version or another program: status 404 Not Found"
    );
    thread::scope(|scope| {
        scope.spawn(|| refuse_all(&listener, &requests, &gone));
        let _over = Over(&gone);
        with_a_member(&group, &url, || {
            eventually("the other to be named", || {
                let (status, answer) = ask(&group.daemons[0], "/replay?from=8");
                let all = left(&answer);
                let found = status == 409 && all == [("failed", named.as_str()); 2];
                found.then_some(())
            });
        });
    });
    let requests = requests.into_inner().expect("no panic");
    assert!(
        requests
            .iter()
            .all(|it: &String| it.starts_with("POST /peers/replay HTTP/1.1\r\n"))
    );
    // It was told of its two alone, and where to.
    let body = requests.last().and_then(|it| it.split_once("\r\n\r\n"));
    let (_, body) = body.expect("a request");
    let targets: std::collections::BTreeMap<i32, i64> = serde_json::from_str(body).expect(body);
    assert!(
        targets.len() == 2 && targets.values().all(|&to| to == 8),
        "{body}"
    );
}

/// Answers 404 to whatever comes, one request a connection.
fn refuse_all(listener: &TcpListener, requests: &Mutex<Vec<String>>, gone: &AtomicBool) {
    listener.set_nonblocking(true).expect("it can be");
    while !gone.load(Relaxed) {
        let Ok((mut connection, _)) = listener.accept() else {
            // Between two looks, not for a time.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        connection.set_nonblocking(false).expect("it can be");
        let (mut request, mut byte) = (Vec::new(), [0]);
        // Its body is an object of numbers.
        while request.last() != Some(&b'}') && connection.read_exact(&mut byte).is_ok() {
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).expect("UTF-8");
        requests.lock().expect("no panic").push(request);
        let answer = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        // The daemon reports it if this does not come to it.
        let _ = connection.write_all(answer.as_bytes());
    }
}

/// While a member that is no daemon calls itself so and takes its part.
fn with_a_member(group: &Group, client_id: &str, act: impl FnOnce()) {
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", group.daemons[0].broker())
        .set("group.id", &group.setup.name)
        .set("client.id", client_id)
        // Whoever is in one group has to agree on how it is shared out.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .create()
        .expect("a client");
    member
        .subscribe(&[&group.setup.topic()])
        .expect("subscribed");
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !gone.load(Relaxed) {
                let _ = member.poll(Duration::from_millis(50));
            }
            member.unsubscribe();
        });
        // Ends the thread too if what follows fails.
        let _over = Over(&gone);
        act();
    });
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
