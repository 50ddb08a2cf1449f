//! A broker that is not there yet.

use eventos_testkit::{Broker, Daemon, Setup, free_port};
use serde_json::{Value, json};

use super::setup;

/// A daemon whose broker is to be on a port where there is none yet, tried so often.
fn without_a_broker(retries: u32) -> (Setup, u16) {
    let port = free_port();
    let mut setup = setup(Broker::Embedded);
    setup.servers = format!("127.0.0.1:{port}");
    setup.set("EVENTOS__KAFKA__CONNECT_RETRIES", &retries.to_string());
    setup.set("EVENTOS__KAFKA__CONNECT_RETRY_DELAY", "100ms");
    (setup, port)
}

fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let answer = daemon.client().get(daemon.url(path)).send();
    let answer = answer.expect("answered");
    (answer.status().as_u16(), answer.json().expect("JSON"))
}

#[test]
fn after_the_last_try_it_gives_up_and_says_what_to_do() {
    let (setup, port) = without_a_broker(1);
    let (status, log) = setup.spawn().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "no Kafka broker answers at 127.0.0.1:{port} after 2 tries; start it, or set kafka.bootstrap_servers"
    );
    assert!(log.contains(&error), "{log}");
    assert!(log.contains("\nerror: "), "{log}");
}

#[test]
fn it_waits_alive_but_not_ready_and_is_ready_once_the_broker_is_there() {
    let (waiting, port) = without_a_broker(1_000);
    let daemon = waiting.spawn();
    daemon.wait_for_log("no broker yet, trying again", "attempt=");
    assert_eq!(get(&daemon, "/healthz"), (200, json!({"status": "ok"})));
    let (status, problem) = get(&daemon, "/readyz");
    assert_eq!(status, 503);
    assert_eq!(problem["pending"], json!(["broker", "group", "restored"]));
    let detail = problem["detail"].as_str().expect("a text");
    assert_eq!(detail, "waiting for: broker, group, restored");
    // Nothing is stored, and asking does no harm.
    assert_eq!(get(&daemon, "/messages"), (200, json!([])));

    let mut late = setup(Broker::Embedded);
    late.broker_listen = format!("127.0.0.1:{port}");
    let late = late.start();
    assert_eq!(late.broker(), waiting.servers);
    daemon.wait_until_ready();
    daemon.send(r#"{"id":"1","tipo":"t"}"#);
    daemon.wait_for_messages(1);
    // It is another topic and another group than those of the daemon that has the broker.
    late.wait_for_messages(0);
}

/// A signal is heeded while it waits, too.
#[test]
fn it_can_be_stopped_while_it_waits() {
    let (setup, _) = without_a_broker(1_000);
    let daemon = setup.spawn();
    daemon.wait_for_log("no broker yet, trying again", "attempt=");
    assert_eq!(daemon.stop().code(), Some(0));
}
