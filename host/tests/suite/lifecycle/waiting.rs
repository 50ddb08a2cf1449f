//! A broker that is not running when the daemon starts, or goes away during the start.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port};
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

/// A relay to a broker that lets requests pass which do not name a topic, and the others only once it is opened. Clients use no
/// other connections, since it puts its own port in the place of that of the broker.
struct Relay {
    address: String,
    is_open: Arc<AtomicBool>,
}

impl Relay {
    fn start(broker: String, topic: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (own, other) = (port_of(&address), port_of(&broker));
        let is_open = Arc::new(AtomicBool::new(false));
        let relay = Self {
            address,
            is_open: Arc::clone(&is_open),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&broker) else {
                    return;
                };
                let (from, to) = (server.try_clone(), client.try_clone());
                let (from, to) = (from.expect("a socket"), to.expect("a socket"));
                thread::spawn(move || {
                    copy(from, to, |bytes| {
                        let last = bytes.len().saturating_sub(other.len());
                        for start in 0..=last {
                            if bytes[start..].starts_with(&other) {
                                bytes[start..][..own.len()].copy_from_slice(&own);
                            }
                        }
                    });
                });
                let (topic, is_open) = (topic.clone(), Arc::clone(&is_open));
                thread::spawn(move || {
                    copy(client, server, |bytes| {
                        let mut parts = bytes.windows(topic.len());
                        if parts.any(|it| it == topic.as_bytes()) {
                            eventually("the relay to open", || is_open.load(Relaxed).then_some(()));
                        }
                    });
                });
            }
        });
        relay
    }
}

/// Returns the port of an address as it is in a response of a broker.
fn port_of(address: &str) -> [u8; 4] {
    let address: SocketAddr = address.parse().expect("an address");
    u32::from(address.port()).to_be_bytes()
}

/// Copies what arrives until a connection ends, each time after `change`.
fn copy(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut bytes = [0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        change(&mut bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn it_waits_for_a_broker_that_stops_answering_while_topics_are_prepared() {
    let broker = setup(Broker::Embedded);
    let host = broker.start();
    let mut starting = setup(Broker::Embedded);
    let relay = Relay::start(host.broker().to_owned(), starting.dead_letter_topic());
    starting.servers.clone_from(&relay.address);
    let daemon = starting.start_listening();
    daemon.wait_for_log("cannot prepare the topics yet; trying again");
    relay.is_open.store(true, Relaxed);
    daemon.wait_until_ready();
}
