//! A broker that is killed while the daemon runs, and started again.

use std::{
    collections::HashSet,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port, read_topic};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ids_by_position, setup};

/// A little more than the daemon's `message.timeout.ms`.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// Prepares two daemons. The second uses the built-in broker of the first, which can be killed and started again at the same address.
pub(super) fn two_daemons() -> (Setup, Setup) {
    let mut broker = setup(Broker::Embedded);
    broker.broker_listen = format!("127.0.0.1:{}", free_port());
    let mut setup = setup(Broker::Embedded);
    setup.servers.clone_from(&broker.broker_listen);
    (broker, setup)
}

/// Sends an Evento. Returns the status, the seconds of `Retry-After`, and the body.
fn try_to_send(daemon: &Daemon, id: &str) -> (u16, Option<u32>, Value) {
    let evento = json!({"id": id, "tipo": "t"}).to_string();
    let answer = daemon.post_body("/send", "application/json", evento);
    let retry_after = answer.header("retry-after");
    let retry_after = retry_after.map(|value| value.parse().expect("seconds"));
    (answer.status.as_u16(), retry_after, answer.json())
}

#[test]
fn while_the_broker_is_gone_sending_is_refused_and_it_goes_on_when_the_broker_is_back() {
    let (broker, setup) = two_daemons();
    let host = broker.start();
    let daemon = setup.start();
    daemon.send(r#"{"id":"before","tipo":"t"}"#);
    daemon.wait_for_messages(1);

    host.kill();
    let began = Instant::now();
    let (status, retry_after, problem) = try_to_send(&daemon, "during");
    assert_eq!(status, 503, "{problem}");
    assert!(began.elapsed() < MESSAGE_TIMEOUT, "{:?}", began.elapsed());
    assert!(
        retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "{retry_after:?}"
    );
    assert_eq!(problem["type"], "urn:eventos:problem:broker-unavailable");
    let ready = daemon.get("/readyz").assert_status(503).json();
    assert_eq!(ready["pending"], json!(["broker"]));
    // After the first timeout the daemon refuses at once, and stored Eventos can still be read.
    let began = Instant::now();
    assert_eq!(try_to_send(&daemon, "during-too").0, 503);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    daemon.wait_for_messages(1);
    // A batch is refused as a whole, so that no client takes its Eventos for sent.
    let batch = "{\"id\":\"in-batch\",\"tipo\":\"t\"}\n".repeat(10);
    let answer = daemon.post_body("/send/batch", "application/x-ndjson", batch);
    let detail = answer.problem(503, "broker-unavailable");
    assert!(detail.contains("was not sent"), "{detail}");
    assert!(answer.header("retry-after").is_some());
    let refused = r#"eventos_send_refused_total{reason="broker-unavailable"}"#;
    assert!(daemon.metric(refused) >= Some(3.0));
    daemon.wait_for_log("refused an Evento that was sent over HTTP");

    let _host = broker.start();
    daemon.wait_until_ready();
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    // A refused Evento may be in the topic all the same, as the answer says, but not twice.
    let there = ids_by_position(&read_topic(daemon.broker(), &setup.topic()));
    let there: Vec<_> = there.into_values().collect();
    for id in ["before", "after"] {
        assert!(there.iter().any(|there| there == id), "{id} in {there:?}");
    }
    eventually("the last Evento to be stored", || {
        daemon.messages("").contains(r#""after""#).then_some(())
    });
}

/// Sends a batch as a shipper does: again and again until its answer is whole. The ids are `ship-LINE-ATTEMPT`.
fn ship(daemon: &Daemon, lines: Range<usize>) {
    for attempt in 0.. {
        let line = |i| format!("{{\"id\":\"ship-{i}-{attempt}\",\"tipo\":\"t\"}}\n");
        let body: String = lines.clone().map(line).collect();
        let request = daemon.request(Method::POST, "/send/batch").body(body);
        let answer = request
            .header("content-type", "application/x-ndjson")
            .send();
        // A connection that is closed early is an error of the client, before or after the status.
        match answer.and_then(|answer| Ok((answer.status().as_u16(), answer.text()?))) {
            Ok((200, text)) => {
                return assert_eq!(text.matches("message sent").count(), lines.len());
            }
            Ok((503, _)) | Err(_) => thread::yield_now(),
            Ok(other) => panic!("{other:?}"),
        }
    }
}

/// Ships batches of 50 lines until it is `over`. Returns the names of the lines.
fn ship_until(daemon: &Daemon, over: &AtomicBool) -> Vec<String> {
    let mut lines = 0;
    while !over.load(Relaxed) {
        ship(daemon, lines..lines + 50);
        lines += 50;
    }
    (0..lines).map(|line| line.to_string()).collect()
}

/// Sends Eventos one by one until it is `over`, and counts those that are acknowledged. Returns their ids.
fn send_until(daemon: &Daemon, name: usize, over: &AtomicBool, sent: &AtomicUsize) -> Vec<String> {
    let (mut acknowledged, mut number) = (Vec::new(), 0);
    while !over.load(Relaxed) {
        let id = format!("{name}-{number}");
        number += 1;
        match try_to_send(daemon, &id) {
            (200, _, _) => {
                acknowledged.push(id);
                sent.fetch_add(1, Relaxed);
            }
            (503 | 429, Some(_), _) => thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
    acknowledged
}

fn assert_none_lost(acknowledged: &[String], there: &HashSet<String>) {
    let lost = acknowledged.iter().filter(|id| !there.contains(*id));
    let lost: Vec<_> = lost.collect();
    let (n, of) = (lost.len(), acknowledged.len());
    assert!(lost.is_empty(), "{n} of {of}: {lost:?}");
}

/// Sends without a pause while the broker is killed and started again, twice.
#[test]
fn nothing_acknowledged_is_lost_while_the_broker_comes_and_goes() {
    let (broker, setup) = two_daemons();
    let mut host = broker.start();
    let daemon = setup.start();
    let (over, sent) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let (acknowledged, shipped, _host): (Vec<String>, _, _) = thread::scope(|scope| {
        let daemon = &daemon;
        let shipper = scope.spawn(|| ship_until(daemon, over));
        let senders: Vec<_> = (0..4)
            .map(|name| scope.spawn(move || send_until(daemon, name, over, sent)))
            .collect();
        for _ in 0..2 {
            let before = sent.load(Relaxed);
            eventually("200 more acknowledgements", || {
                (sent.load(Relaxed) > before + 200).then_some(())
            });
            host.kill();
            eventually("the daemon to notice the outage", || {
                (daemon.get("/readyz").status == 503).then_some(())
            });
            host = broker.start();
            daemon.wait_until_ready();
        }
        over.store(true, Relaxed);
        let ends = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"));
        let acknowledged = ends.flatten().collect();
        (acknowledged, shipper.join().expect("no panic"), host)
    });
    assert!(acknowledged.len() > 400);
    let there = ids_by_position(&read_topic(daemon.broker(), &setup.topic()));
    let there: HashSet<_> = there.into_values().collect();
    assert_none_lost(&acknowledged, &there);
    let line = |id: &String| Some(id.strip_prefix("ship-")?.split_once('-')?.0.to_owned());
    let there_too: HashSet<_> = there.iter().filter_map(line).collect();
    assert!(!shipped.is_empty());
    assert_none_lost(&shipped, &there_too);
    // Everything in the topic is stored in the end.
    daemon.send(r#"{"id":"last","tipo":"t"}"#);
    eventually("everything in the topic to be stored", || {
        let stored: Vec<Value> =
            serde_json::from_str(&daemon.messages("?limit=1000000")).expect("JSON");
        let ids = stored.iter().filter_map(|evento| evento["id"].as_str());
        let ids: HashSet<_> = ids.collect();
        let is_complete = there.iter().all(|id| ids.contains(id.as_str()));
        (is_complete && ids.contains("last")).then_some(())
    });
}
