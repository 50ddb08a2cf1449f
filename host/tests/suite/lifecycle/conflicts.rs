//! What another process holds, and what may not be had at all.

use std::net::TcpListener;

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port};

use super::setup;

/// Starts one that cannot start; answers what it said.
fn refused(setup: &Setup) -> String {
    let (status, log) = setup.launch().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.lines().any(|line| line.starts_with("error: ")), "{log}");
    log
}

fn assert_unharmed(daemon: &Daemon, id: &str) {
    daemon.send(&format!(r#"{{"id":"{id}","tipo":"t"}}"#));
    eventually("it to be stored", || {
        let found = daemon.client().get(daemon.url(&format!("/messages/{id}")));
        (found.send().expect("answered").status() == 200).then_some(())
    });
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let setup = setup(Broker::Embedded);
    let first = setup.start();
    let log = refused(&setup);
    let folder = setup.dir.path().join("broker");
    let error = format!(
        "error: {} is in use by another broker: stop that broker, or choose another folder",
        folder.display()
    );
    assert!(log.contains(&error), "{log}");
    assert_unharmed(&first, "1");
    // The folder is free again as soon as its daemon is gone, however it went.
    first.kill();
    assert_unharmed(&setup.start(), "2");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut broker = setup(Broker::Embedded);
    broker.broker_listen.clone_from(&address);
    let log = refused(&broker);
    let error = format!("error: cannot listen on {address}: choose another address");
    assert!(log.contains(&error), "{log}");

    let mut http = setup(Broker::Embedded);
    http.set("EVENTOS__HTTP__LISTEN", &address);
    let log = refused(&http);
    let error = format!("error: cannot listen on {address}; set http.listen to another");
    assert!(log.contains(&error), "{log}");
}

#[test]
fn the_broker_inside_listens_on_loopback_only() {
    let port = free_port();
    for listen in [
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        format!("192.0.2.1:{port}"),
    ] {
        let mut setup = setup(Broker::Embedded);
        setup.broker_listen.clone_from(&listen);
        let log = refused(&setup);
        assert!(log.contains("eventos.toml:6: "), "the line is named: {log}");
        assert!(log.contains(&listen), "{log}");
        assert!(log.contains("loopback"), "{log}");
    }
}
