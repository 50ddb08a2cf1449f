//! Replays that are refused, with the reason; the partition stays where it is.

use reqwest::Method;

use super::*;

#[test]
fn a_partition_whose_handlers_are_at_work_stays_and_loses_nothing() {
    let (setup, daemon) = filled(Broker::Embedded, 40);
    daemon.pause("probe");
    fill(&setup, &daemon, 40..41);
    // The batch of that record waits for the paused handler, but it may take a moment to get there.
    eventually("partition 0 to be busy", || {
        let answer = post_replay(&daemon, "from=9&partition=0");
        let report = answer.json();
        let why = report["partitions"][0]["why"].as_str()?;
        (answer.status == 409 && why.contains("still working")).then_some(())
    });
    daemon.resume("probe");
    daemon.wait_for_messages(41);
    setup.wait_until_committed(&daemon);
}

#[test]
fn what_is_asked_wrongly_or_by_another_site_is_refused() {
    let setup = setup(Broker::Embedded);
    let daemon = setup.start();
    for (query, code, says) in [
        ("", 400, "missing query parameter `from`"),
        ("?from=latest", 400, "earliest, an offset such as"),
        ("?from=-1", 400, "earliest, an offset such as"),
        (
            "?from=earliest&partition=x",
            400,
            "the number of a partition",
        ),
        ("?from=earliest&dry_run=maybe", 400, "true or false"),
        ("?to=1", 400, "unknown query parameter `to`"),
        ("?from=earliest&partition=9", 404, "no partition 9"),
    ] {
        let answer = daemon.post(&format!("/replay{query}"));
        let problem = answer.assert_status(code).json();
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let request = daemon.request(Method::POST, "/replay?from=earliest");
    let request = request.header("origin", "http://elsewhere.example");
    let answer = request.send().expect("the daemon answers");
    assert_eq!(answer.status(), 403);
}
