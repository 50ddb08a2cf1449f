//! A real shipper, Benthos, sends a million lines while the broker is killed twice and the daemon is restarted.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use eventos_testkit::{end_offsets, eventually, free_port, provided, read_topic, wait::pause};
use rdkafka::Message as _;

use super::outage::two_daemons;

/// Lines in requests of 500, and one by one: 21,960 requests.
const BATCHED: usize = 980_000;
const SINGLE: usize = 20_000;

/// How long the shipper may take for all of it.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Waits until `check` is true, while the shipper works.
fn wait_while_shipping(shipper: &mut Child, what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        let ended = shipper.try_wait().expect("it can be waited for");
        assert!(
            ended.is_none(),
            "the shipper ended before {what}: {ended:?}"
        );
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        pause(Duration::from_millis(100));
    }
}

/// Returns which of the ids with this initial and the numbers 1 to `count` are missing, and how many are there twice.
fn missing(ids: &[String], initial: char, count: usize) -> (Vec<usize>, usize) {
    let mut seen = vec![0_usize; count + 1];
    for number in ids.iter().filter_map(|id| id.strip_prefix(initial)) {
        seen[number.parse::<usize>().expect("a number")] += 1;
    }
    let missing = (1..=count).filter(|&number| seen[number] == 0).collect();
    let twice = seen.iter().map(|&times| times.saturating_sub(1)).sum();
    (missing, twice)
}

#[test]
#[ignore = "takes minutes, and a Go program that `cargo xtask test shipper` builds"]
fn a_shipper_loses_nothing_through_two_outages_and_a_restart() {
    let (broker, mut setup) = two_daemons();
    let address = format!("127.0.0.1:{}", free_port());
    setup.set_env("EVENTOS__HTTP__LISTEN", &address);
    let mut host = broker.start();
    let daemon = setup.start();
    let mut shipper = Command::new(provided("EVENTOS_TEST_SHIPPER"))
        .arg(format!("http://{address}"))
        .args([BATCHED, SINGLE].map(|count| count.to_string()))
        .stdin(Stdio::null())
        .spawn()
        .expect("the shipper starts");
    let began = Instant::now();
    let topic = setup.topic();
    let has = |share: usize| {
        let stored: i64 = end_offsets(&setup.servers, &topic).iter().sum();
        usize::try_from(stored).is_ok_and(|stored| stored >= (BATCHED + SINGLE) / 100 * share)
    };
    for share in [20, 50] {
        wait_while_shipping(&mut shipper, "an outage", || has(share));
        host.kill();
        eventually("the daemon to notice the outage", || {
            (daemon.get("/readyz").status == 503).then_some(())
        });
        // Long enough for the shipper to meet it, and to give up the requests that it sent before.
        pause(Duration::from_secs(5));
        host = broker.start();
    }
    let refused = daemon.metric_sum("eventos_send_refused_total");
    assert!(refused > 0.0, "no line was refused");
    wait_while_shipping(&mut shipper, "the restart", || has(75));
    assert_eq!(daemon.stop().code(), Some(0));
    let daemon = setup.start();
    let mut status = None;
    while status.is_none() {
        assert!(began.elapsed() < PATIENCE, "the shipper does not end");
        pause(Duration::from_millis(100));
        status = shipper.try_wait().expect("it can be waited for");
    }
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    eprintln!("shipped in {:?}", began.elapsed());

    let records = read_topic(daemon.broker(), &topic);
    let id = |value: &[u8]| {
        let text = str::from_utf8(value).expect("UTF-8");
        let (_, rest) = text.split_once(r#""id":""#).expect("an id");
        rest.split_once('"').expect("a text").0.to_owned()
    };
    let ids: Vec<_> = records
        .iter()
        .map(|record| id(record.payload().expect("a value")))
        .collect();
    for (initial, count) in [('b', BATCHED), ('s', SINGLE)] {
        let (missing, twice) = missing(&ids, initial, count);
        eprintln!("{initial}: {count} lines, {twice} of them twice");
        let some = &missing[..missing.len().min(10)];
        assert!(missing.is_empty(), "{} are lost: {some:?}", missing.len());
    }
    drop(host);
}
