//! Replays while some partitions cannot be rewound: the others are, and the report names the instance that has the rest.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use eventos_testkit::{Background, IdleMember, StopFlag, wait::pause};

use super::{group::Group, *};

/// Milliseconds without a heartbeat after which the group considers a member dead.
const SESSION: &str = "EVENTOS__KAFKA__PROPERTIES__SESSION__TIMEOUT__MS";

/// Returns status and reason of each partition that was not rewound.
fn failures(answer: &Value) -> Vec<(&str, &str)> {
    let partitions = answer["partitions"].as_array().expect("an array").iter();
    partitions
        .filter_map(|report| {
            let why = report["why"].as_str()?;
            Some((report["status"].as_str().expect("a text"), why))
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

    let answer = post_replay(&group.daemons[0], "from=8");
    let answer = answer.assert_status(409).json();
    assert_eq!(answer["partial"], true);
    let reason = format!("{url} owns it and cannot be reached: ");
    let lost = failures(&answer);
    assert!((1..=2).contains(&lost.len()), "{answer}");
    for (status, why) in &lost {
        assert_eq!(*status, "elsewhere");
        assert!(why.starts_with(&reason), "{why}");
    }
    let others = outcomes(&answer);
    let rewound = others
        .iter()
        .filter(|&&it| it == ("rewound", Some(10), Some(8)));
    assert_eq!(rewound.count(), 4 - lost.len());
    let records = 2 * (4 - lost.len());
    assert_eq!(answer["records"], records);
    group.wait_for_consumed(consumed + f64::from(u32::try_from(records).expect("few")));

    let (code, out, err) = run_replay(&group.daemons[1], &["--from", "9"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains(&format!(": elsewhere: {reason}")), "{out}");
    assert!(err.contains("some partitions were not rewound"), "{err}");

    // Once the others have taken over its partitions, a replay reaches all of them.
    group.wait_until_shared();
    for daemon in &group.daemons {
        daemon.wait_until_ready();
    }
    group.wait_until_committed();
    let answer = replay(&group.daemons[1], "from=earliest");
    assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(0)); 4]);
    group.wait_until_committed();
    for daemon in &group.daemons {
        daemon.wait_for_messages(40);
        assert_eq!(daemon.messages(""), before, "each is stored once");
    }
}

/// The daemon is stopped by a signal, so that the system accepts connections for it and no answer comes.
#[test]
fn one_that_does_not_answer_in_time_is_named_and_nothing_is_lost() {
    let group = Group::filled(Broker::Embedded, 2, &[(SESSION, "120000")], 40);
    let slow = &group.daemons[1];
    slow.signal("STOP");
    let answer = post_replay(&group.daemons[0], "from=8");
    slow.signal("CONT");
    let answer = answer.assert_status(409).json();
    let reason = format!(
        "{} owns it and did not respond within 20s; it may have been rewound nevertheless",
        slow.url("")
    );
    assert_eq!(failures(&answer), [("failed", reason.as_str()); 2]);
    assert_eq!(answer["records"], 4);
    group.wait_until_shared();
    let answer = replay(&group.daemons[0], "from=earliest");
    assert_eq!(answer["partial"], false);
    group.wait_until_committed();
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

/// The client id of the member is a URL with a password, and a daemon never connects to such a URL.
fn a_stranger_in_the_group_is_named(broker: Broker) {
    let group = Group::filled(broker, 1, &[], 40);
    let stranger = "http://user:secret@127.0.0.1:1";
    let reason = format!("the group member {stranger:?} does not advertise a URL");
    let _member = join(&group, stranger);
    eventually("the report to name the stranger", || {
        let answer = post_replay(&group.daemons[0], "from=4000");
        let expected = [("elsewhere", reason.as_str()); 2];
        (answer.status == 409 && failures(&answer.json()) == expected).then_some(())
    });
}

/// `DescribeGroups` does not show the members of a group that uses that protocol.
#[test]
fn in_a_group_of_kip_848_each_rewinds_its_own_part_and_says_so() {
    let protocol = [("EVENTOS__KAFKA__PROPERTIES__GROUP__PROTOCOL", "consumer")];
    let group = Group::starting(Broker::Kafka, 2, &protocol);
    fill(&group.setup, &group.daemons[0], 0..40);
    group.wait_until_committed();
    let reason = (
        "elsewhere",
        "no member of the group currently owns these partitions",
    );
    for daemon in &group.daemons {
        let answer = eventually("two partitions for each daemon", || {
            let answer = post_replay(daemon, "from=8");
            let report = answer.json();
            (answer.status == 409 && failures(&report) == [reason; 2]).then_some(report)
        });
        let others = outcomes(&answer);
        let own = others.iter().filter(|outcome| outcome.0 != "elsewhere");
        assert_eq!(own.count(), 2, "{answer}");
    }
    group.wait_until_committed();
}

/// A member of a version without `/peers/replay` responds with 404.
#[test]
fn a_member_of_another_version_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let allowed = [("EVENTOS__PEERS__ALLOW", address.as_str())];
    let group = Group::filled(Broker::Embedded, 1, &allowed, 40);
    let url = format!("http://{address}");
    let reason = format!(
        "{url} owns it and sent an unexpected response; it may run another version or another program: status 404 Not Found"
    );
    let refusing = Background::start(move |stop| refuse_all(&listener, stop));
    let member = join(&group, &url);
    eventually("the report to name the other member", || {
        let answer = post_replay(&group.daemons[0], "from=8");
        let expected = [("failed", reason.as_str()); 2];
        (answer.status == 409 && failures(&answer.json()) == expected).then_some(())
    });
    drop(member);
    let requests = refusing.finish();
    assert!(
        requests
            .iter()
            .all(|it: &String| it.starts_with("POST /peers/replay HTTP/1.1\r\n"))
    );
    // The last request has the new offsets of its two partitions, and no others.
    let body = requests.last().and_then(|it| it.split_once("\r\n\r\n"));
    let (_, body) = body.expect("a request");
    let targets: std::collections::BTreeMap<i32, i64> = serde_json::from_str(body).expect(body);
    assert!(
        targets.len() == 2 && targets.values().all(|&to| to == 8),
        "{body}"
    );
}

/// Responds to every request with 404 and closes the connection. Returns the requests.
fn refuse_all(listener: &TcpListener, stop: &StopFlag) -> Vec<String> {
    let mut requests = Vec::new();
    listener.set_nonblocking(true).expect("a socket option");
    while !stop.is_set() {
        let Ok((mut connection, _)) = listener.accept() else {
            pause(Duration::from_millis(5));
            continue;
        };
        connection.set_nonblocking(false).expect("a socket option");
        let (mut request, mut byte) = (Vec::new(), [0]);
        // The body is a JSON object of numbers, so the first brace that closes ends it.
        while request.last() != Some(&b'}') && connection.read_exact(&mut byte).is_ok() {
            request.push(byte[0]);
        }
        requests.push(String::from_utf8(request).expect("UTF-8"));
        let answer = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        // If the daemon does not get the answer, it reports another reason.
        let _ = connection.write_all(answer.as_bytes());
    }
    requests
}

/// Adds a member to the group that takes its share of the partitions, and is not a daemon.
fn join(group: &Group, client_id: &str) -> IdleMember {
    let servers = group.daemons[0].broker();
    IdleMember::join(servers, &group.setup.name, &group.setup.topic(), client_id)
}
