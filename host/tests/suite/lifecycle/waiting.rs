//! A broker that is not running when the daemon starts.

use eventos_testkit::{Broker, Daemon, Setup, free_port};
use serde_json::{Value, json};

use super::setup;

/// Prepares a daemon whose broker is not running yet. Returns the port of the broker, too.
fn without_a_broker(retries: u32) -> (Setup, u16) {
    let port = free_port();
    let mut setup = setup(Broker::Embedded);
    setup.servers = format!("127.0.0.1:{port}");
    setup.set_env("EVENTOS__KAFKA__CONNECT_RETRIES", &retries.to_string());
    setup.set_env("EVENTOS__KAFKA__CONNECT_RETRY_DELAY", "100ms");
    (setup, port)
}

fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let answer = daemon.get(path);
    (answer.status.as_u16(), answer.json())
}

#[test]
fn after_the_last_try_it_gives_up_and_says_what_to_do() {
    let (setup, port) = without_a_broker(1);
    let (status, log) = setup.start_listening().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "no Kafka broker answers at 127.0.0.1:{port} after 2 tries; start it, set kafka.bootstrap_servers"
    );
    assert!(log.contains(&error), "{log}");
    assert!(log.contains("\nerror: "), "{log}");
}

#[test]
fn it_waits_alive_but_not_ready_and_is_ready_once_the_broker_is_there() {
    let (waiting, port) = without_a_broker(1_000);
    let daemon = waiting.start_listening();
    daemon.wait_for_log("no broker responds yet; trying again");
    assert_eq!(get(&daemon, "/healthz"), (200, json!({"status": "ok"})));
    let (status, problem) = get(&daemon, "/readyz");
    assert_eq!(status, 503);
    assert_eq!(problem["pending"], json!(["broker", "group", "restored"]));
    let detail = problem["detail"].as_str().expect("a text");
    assert_eq!(detail, "waiting for: broker, group, restored");
    // The store is empty, and can be read.
    assert_eq!(get(&daemon, "/messages"), (200, json!([])));

    let mut late = setup(Broker::Embedded);
    late.broker_listen = format!("127.0.0.1:{port}");
    let late = late.start();
    assert_eq!(late.broker(), waiting.servers);
    daemon.wait_until_ready();
    daemon.send(r#"{"id":"1","tipo":"t"}"#);
    daemon.wait_for_messages(1);
    // The daemon that runs the broker has another topic and another group.
    late.wait_for_messages(0);
}

/// A daemon that waits for its broker ends after a signal.
#[test]
fn it_can_be_stopped_while_it_waits() {
    let (setup, _) = without_a_broker(1_000);
    let daemon = setup.start_listening();
    daemon.wait_for_log("no broker responds yet; trying again");
    assert_eq!(daemon.stop().code(), Some(0));
}
