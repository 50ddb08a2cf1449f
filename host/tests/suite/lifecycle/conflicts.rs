//! Ports and folders that are in use, and addresses that are not allowed.

use std::net::TcpListener;

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port};

use super::setup;

/// Checks that the daemon does not start and logs an error. Returns the log.
fn start_error(setup: &Setup) -> String {
    let log = setup.expect_start_failure();
    assert!(log.lines().any(|line| line.starts_with("error: ")), "{log}");
    log
}

fn assert_works(daemon: &Daemon, id: &str) {
    daemon.send(&format!(r#"{{"id":"{id}","tipo":"t"}}"#));
    eventually("the Evento to be stored", || {
        let found = daemon.get(&format!("/messages/{id}"));
        (found.status == 200).then_some(())
    });
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let setup = setup(Broker::Embedded);
    let first = setup.start();
    let log = start_error(&setup);
    let folder = setup.dir.path().join("broker");
    let error = format!(
        "error: {} is in use by another broker: stop that broker, or choose another folder",
        folder.display()
    );
    assert!(log.contains(&error), "{log}");
    assert_works(&first, "1");
    // The folder is free as soon as its daemon is gone, even after a kill.
    first.kill();
    assert_works(&setup.start(), "2");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut broker = setup(Broker::Embedded);
    broker.broker_listen.clone_from(&address);
    let log = start_error(&broker);
    let error = format!("error: cannot listen on {address}: choose another address");
    assert!(log.contains(&error), "{log}");

    let mut http = setup(Broker::Embedded);
    http.set_env("EVENTOS__HTTP__LISTEN", &address);
    let log = start_error(&http);
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
        let log = start_error(&setup);
        assert!(
            log.contains("eventos.toml:6: "),
            "the error names the line: {log}"
        );
        assert!(log.contains(&listen), "{log}");
        assert!(log.contains("loopback"), "{log}");
    }
}
