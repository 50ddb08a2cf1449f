//! A broker that goes away while the daemon runs, and comes back.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port, read_topic};
use serde_json::{Value, json};

use super::{ids_by_place, setup};

/// librdkafka's `message.timeout.ms` as the daemon has it, and some.
const BOUND: Duration = Duration::from_secs(20);

/// Two daemons, the second on the broker of the first, which can be killed and started again.
fn on_another() -> (Setup, Setup) {
    let mut broker = setup(Broker::Embedded);
    broker.broker_listen = format!("127.0.0.1:{}", free_port());
    let mut setup = setup(Broker::Embedded);
    setup.servers.clone_from(&broker.broker_listen);
    (broker, setup)
}

/// Sends an Evento; answers the status, the seconds after which to try again, and the body.
fn try_to_send(daemon: &Daemon, id: &str) -> (u16, Option<u32>, Value) {
    let request = daemon.client().post(daemon.url("/send"));
    let request = request
        .timeout(2 * BOUND)
        .json(&json!({"id": id, "tipo": "t"}));
    let answer = request.send().expect("answered");
    let again = answer.headers().get("retry-after");
    let again = again.map(|value| value.to_str().expect("text").parse().expect("seconds"));
    (
        answer.status().as_u16(),
        again,
        answer.json().expect("JSON"),
    )
}

#[test]
fn while_the_broker_is_gone_sending_is_refused_and_it_goes_on_when_the_broker_is_back() {
    let (broker, setup) = on_another();
    let other = broker.start();
    let daemon = setup.start();
    daemon.send(r#"{"id":"before","tipo":"t"}"#);
    daemon.wait_for_messages(1);

    other.kill();
    let began = Instant::now();
    let (status, again, problem) = try_to_send(&daemon, "during");
    assert_eq!(status, 503, "{problem}");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert!(
        again.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "{again:?}"
    );
    assert_eq!(problem["type"], "urn:eventos:problem:broker-unavailable");
    let ready = daemon
        .client()
        .get(daemon.url("/readyz"))
        .send()
        .expect("answered");
    assert_eq!(ready.status(), 503);
    let ready: Value = ready.json().expect("JSON");
    assert_eq!(ready["pending"], json!(["broker"]));
    // From now on it is refused at once, and what is stored can be read.
    let began = Instant::now();
    assert_eq!(try_to_send(&daemon, "during-too").0, 503);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    daemon.wait_for_messages(1);

    let _other = broker.start();
    daemon.wait_until_ready();
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    // What was refused may have arrived all the same, as its answer says; it is not there twice.
    let there = ids_by_place(&read_topic(daemon.broker(), &setup.topic()));
    let there: Vec<_> = there.into_values().collect();
    for id in ["before", "after"] {
        assert!(there.iter().any(|there| there == id), "{id} in {there:?}");
    }
    eventually("the last one to be stored", || {
        daemon.messages("").contains(r#""after""#).then_some(())
    });
}

/// Sends on and on while the broker is killed and started again, twice.
#[test]
fn nothing_acknowledged_is_lost_while_the_broker_comes_and_goes() {
    let (broker, setup) = on_another();
    let mut other = broker.start();
    let daemon = setup.start();
    let over = AtomicBool::new(false);
    let sender = |name: usize| {
        let (mut acknowledged, mut number) = (Vec::new(), 0);
        while !over.load(Relaxed) {
            let id = format!("{name}-{number}");
            number += 1;
            match try_to_send(&daemon, &id) {
                (200, _, _) => acknowledged.push(id),
                (503 | 429, Some(_), _) => thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
        acknowledged
    };
    let (acknowledged, _other): (Vec<String>, _) = thread::scope(|scope| {
        let sender = &sender;
        let senders: Vec<_> = (0..4)
            .map(|name| scope.spawn(move || sender(name)))
            .collect();
        for _ in 0..2 {
            let produced = daemon.sum("eventos_produced_total");
            eventually("some more to be acknowledged", || {
                (daemon.sum("eventos_produced_total") > produced + 200.0).then_some(())
            });
            other.kill();
            eventually("the outage to be noticed", || {
                let ready = daemon.client().get(daemon.url("/readyz")).send();
                (ready.expect("answered").status() == 503).then_some(())
            });
            other = broker.start();
            daemon.wait_until_ready();
        }
        over.store(true, Relaxed);
        let ends = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"));
        (ends.flatten().collect(), other)
    });
    assert!(acknowledged.len() > 400);
    let there = ids_by_place(&read_topic(daemon.broker(), &setup.topic()));
    let there: std::collections::HashSet<_> = there.into_values().collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !there.contains(*id))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    // And all that is in the topic comes to the store.
    daemon.send(r#"{"id":"last","tipo":"t"}"#);
    eventually("all of it to be stored", || {
        let stored: Vec<Value> =
            serde_json::from_str(&daemon.messages("?limit=1000000")).expect("JSON");
        let ids = stored.iter().filter_map(|evento| evento["id"].as_str());
        let ids: std::collections::HashSet<_> = ids.collect();
        let whole = there.iter().all(|id| ids.contains(id.as_str()));
        (whole && ids.contains("last")).then_some(())
    });
}
