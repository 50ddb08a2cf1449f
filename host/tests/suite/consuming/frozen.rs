//! A broker that is frozen: its connections stay open, and nothing is answered.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, Setup, eventually};
use serde_json::json;

use super::setup;

/// The promise is 5 s. The machine that runs the tests may be busy.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_frozen_broker_is_noticed_within_seconds_and_so_is_its_return() {
    let host = Setup::new(crate::EVENTOS, Broker::Embedded, &["store"], "").start();
    let mut setup = setup(Broker::Embedded);
    setup.servers = host.broker().to_owned();
    let daemon = setup.start();
    daemon.send(r#"{"id":"before","tipo":"t"}"#);
    daemon.wait_for_messages(1);
    host.signal("STOP");
    let began = Instant::now();
    let pending = eventually("the daemon to be unready", || {
        let answer = daemon.get("/readyz");
        (answer.status == 503).then(|| answer.json()["pending"].clone())
    });
    assert_eq!(pending, json!(["broker_responses"]));
    assert!(began.elapsed() < NOTICED_WITHIN, "{:?}", began.elapsed());
    host.signal("CONT");
    daemon.wait_until_ready();
    daemon.send(r#"{"id":"after","tipo":"t"}"#);
    daemon.wait_for_messages(2);
}
