//! What cannot be rewound stays as it is, and says so.

use super::*;

#[test]
fn partitions_of_another_member_are_told_with_the_broker_inside() {
    let first = setup(Broker::Embedded);
    let daemon = first.start();
    let broker = daemon.broker().to_owned();
    partitions_of_another_member_are_told(&first, &daemon, broker);
}

#[test]
fn partitions_of_another_member_are_told_with_kafka() {
    let first = setup(Broker::Kafka);
    let daemon = first.start();
    partitions_of_another_member_are_told(&first, &daemon, Broker::Kafka.servers());
}

fn partitions_of_another_member_are_told(first: &Setup, daemon: &Daemon, broker: String) {
    fill(first, daemon, 0..40);
    daemon.wait_for_messages(40);
    let mut other = setup(Broker::Embedded);
    // One topic and one group, with a folder for each.
    other.name.clone_from(&first.name);
    other.servers = broker;
    let second = other.start();
    wait_for_committed(first, daemon);
    let shared = eventually("both to have two", || {
        let (status, answer) = ask(daemon, "/replay?from=4000");
        let partitions = answer["partitions"].as_array()?;
        let elsewhere = partitions.iter().filter(|it| it["status"] == "elsewhere");
        (status == 409 && elsewhere.count() == 2).then_some(answer)
    });
    assert_eq!(shared["partial"], true);

    let (status, answer) = ask(daemon, "/replay?from=8");
    assert_eq!(status, 409);
    assert_eq!(
        (&answer["partial"], &answer["records"]),
        (&true.into(), &4.into())
    );
    let partitions = answer["partitions"].as_array().expect("an array");
    let elsewhere = partitions.iter().filter(|it| it["status"] == "elsewhere");
    for told in elsewhere {
        let why = told["why"].as_str().expect("a text");
        assert!(why.contains("another of the group"), "{why}");
    }
    // A dry run speaks for all of them, and the other one rewinds the rest.
    let dry = replay(daemon, "from=8&dry_run=true");
    assert_eq!(dry["partitions"].as_array().map(Vec::len), Some(4));
    let (status, answer) = ask(&second, "/replay?from=8");
    assert_eq!(
        (status, &answer["records"]),
        (StatusCode::CONFLICT, &4.into())
    );
    eventually("the other's to be handled again", || {
        (second.sum("eventos_consumed_total") >= 4.0).then_some(())
    });
    wait_for_committed(first, daemon);
}

#[test]
fn a_partition_whose_handlers_are_at_work_stays_and_loses_nothing() {
    let (setup, daemon) = filled(Broker::Embedded, 40);
    assert_eq!(ask(&daemon, "/handlers/probe/pause").0, 200);
    fill(&setup, &daemon, 40..41);
    // Its batch waits before the chain; it may not have come there yet.
    eventually("partition 0 to be at work", || {
        let (status, answer) = ask(&daemon, "/replay?from=9&partition=0");
        let why = answer["partitions"][0]["why"].as_str()?;
        (status == 409 && why.contains("still at work")).then_some(())
    });
    assert_eq!(ask(&daemon, "/handlers/probe/resume").0, 200);
    daemon.wait_for_messages(41);
    wait_for_committed(&setup, &daemon);
}

#[test]
fn what_is_asked_wrongly_or_by_another_site_is_refused() {
    let setup = setup(Broker::Embedded);
    let daemon = setup.start();
    for (query, code, says) in [
        ("", 400, "from is missing"),
        ("?from=latest", 400, "earliest, an offset such as"),
        ("?from=-1", 400, "earliest, an offset such as"),
        (
            "?from=earliest&partition=x",
            400,
            "the number of a partition",
        ),
        ("?from=earliest&dry_run=maybe", 400, "true or false"),
        ("?to=1", 400, "to is not known"),
        ("?from=earliest&partition=9", 404, "no partition 9"),
    ] {
        let (status, problem) = ask(&daemon, &format!("/replay{query}"));
        assert_eq!(status, code, "{problem}");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let request = daemon.client().post(daemon.url("/replay?from=earliest"));
    let request = request.header("origin", "http://elsewhere.example");
    assert_eq!(request.send().expect("answered").status(), 403);
}
