//! Clients that need a certificate, that do not use TLS, or that do not finish their handshakes.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use eventos_testkit::{Authority, blocking_client};

use super::{address, assert_refused, is_trusted, run_command, setup};
use crate::http::RawHttp;

#[test]
fn clients_need_a_certificate_if_their_authority_is_set() {
    let [servers, clients, others] = ["servers", "clients", "others"].map(Authority::new);
    let (mut setup, ca) = setup(&servers);
    let client_ca = setup.write("clients.pem", &clients.certificate);
    setup.add_config(&format!("client_ca = {client_ca:?}\n"));
    setup.client_certificate = Some(clients.issue(&["client"]));
    let daemon = setup.start();
    daemon.send(r#"{"id":1,"tipo":"t"}"#);

    let trusted = Some(&*servers.certificate);
    let expired = clients.issue_expired(&["client"]);
    for shown in [None, Some(&others.issue(&["client"])), Some(&expired)] {
        let client = blocking_client(None, trusted, shown);
        let answer = client.get(daemon.url("/healthz")).send();
        assert!(answer.is_err(), "{answer:?}");
    }
    daemon.wait_for_log("a TLS handshake failed");

    assert_refused(&daemon.url(""), &["--ca", &ca], "pass --cert FILE");
    for (authority, code) in [(&clients, Some(0)), (&others, Some(1))] {
        let issued = authority.issue(&["client"]);
        let both = issued.certificate + &issued.key;
        let cert = setup.write("client.pem", &both).display().to_string();
        let ran = run_command(&daemon.url(""), &["--ca", &ca, "--cert", &cert]);
        assert_eq!(ran.0, code, "{}", ran.1);
    }
}

#[test]
fn a_client_without_tls_is_told_to_use_https() {
    let (setup, _) = setup(&Authority::new("ours"));
    let daemon = setup.start();
    for _ in 0..5 {
        let request = "GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let answer = RawHttp::send(&daemon, request).read();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains("urn:eventos:problem:https-required"),
            "{answer}"
        );
        assert!(answer.contains("use an https URL"), "{answer}");
    }
    // What is neither TLS nor HTTP gets no answer, and neither does a broken handshake.
    for bytes in ["\0\0\0\0", "\u{16}\u{3}\u{1}nonsense and more of it"] {
        let answer = RawHttp::send(&daemon, bytes).read();
        assert!(!answer.contains("HTTP/1.1"), "{answer}");
    }
    let log = daemon.wait_for_log("a TLS handshake failed");
    assert_eq!(log.matches("did not use TLS").count(), 1, "{log}");
}

/// Clients that connect and never finish their handshakes, several times as many as there may be connections.
#[test]
fn unfinished_handshakes_keep_nobody_out_and_do_not_delay_the_shutdown() {
    let authority = Authority::new("ours");
    let (mut setup, _) = setup(&authority);
    setup.set_env("EVENTOS__HTTP__MAX_CONNECTIONS", "50");
    let daemon = setup.start();
    let address = address(&daemon);
    let unfinished: Vec<_> = (0..300)
        .map(|i| {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            // Some begin a record whose end never comes. The daemon may have closed the connection.
            let begin: &[u8] = if i % 2 == 0 {
                b""
            } else {
                b"\x16\x03\x01\x02\x00\x01"
            };
            let _ = stream.write_all(begin);
            stream
        })
        .collect();
    let began = Instant::now();
    for _ in 0..5 {
        assert!(is_trusted(&daemon, &authority));
    }
    assert!(began.elapsed() < Duration::from_secs(20));

    let began = Instant::now();
    daemon.signal("TERM");
    let (status, log) = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(began.elapsed() < Duration::from_secs(15));
    drop(unfinished);
}
