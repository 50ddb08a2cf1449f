//! What cannot be rewound stays as it is, and says so.

use super::*;

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
