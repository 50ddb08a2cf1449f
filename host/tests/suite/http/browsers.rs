//! Requests that a web page of another site can make a browser send.

use std::{io::Write as _, time::Duration};

use eventos_testkit::{Broker, Daemon, Program, Setup, python, wait::pause};

use super::{NewKey, RawHttp};
use crate::EVENTOS;

/// Every endpoint, with the body that it takes.
const ENDPOINTS: [(&str, &str); 17] = [
    ("POST /send", "{}"),
    ("POST /send/batch", "{}"),
    ("GET /messages", ""),
    ("GET /messages/1", ""),
    ("GET /peers/messages?partitions=0", ""),
    ("POST /peers/replay", "{}"),
    ("GET /handlers", ""),
    ("PUT /handlers/new", "x"),
    ("DELETE /handlers/store", ""),
    ("POST /handlers/store/pause", ""),
    ("GET /dead-letters", ""),
    ("POST /dead-letters/redrive?all=true", ""),
    ("POST /replay?from=earliest", ""),
    ("GET /partitions", ""),
    ("GET /healthz", ""),
    ("GET /metrics", ""),
    ("GET /nothing", ""),
];

/// Sends one request, and returns the status code and the whole response.
fn ask(daemon: &Daemon, request: &str, headers: &[&str], body: &str) -> (u16, String) {
    let mut text = format!("{request} HTTP/1.1\r\nconnection: close\r\n");
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    for header in headers {
        text += &format!("{header}\r\n");
    }
    let response = RawHttp::send(daemon, &format!("{text}\r\n{body}")).read();
    let status = response
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status code"), response)
}

#[track_caller]
fn assert_refused(daemon: &Daemon, headers: &[&str], status: u16) {
    for (request, body) in ENDPOINTS {
        let (given, response) = ask(daemon, request, headers, body);
        assert_eq!(given, status, "{request} with {headers:?}: {response}");
        assert!(response.contains("application/problem+json"), "{response}");
    }
}

#[test]
fn a_foreign_or_missing_host_is_refused_everywhere() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let json = "content-type: application/json";
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "192.0.2.1",
    ] {
        assert_refused(&daemon, &[&format!("host: {host}"), json], 421);
    }
    assert_refused(&daemon, &[json], 400);
    assert_refused(&daemon, &["host: localhost", "host: localhost", json], 400);
    assert_refused(&daemon, &["host: user@localhost", json], 400);
    let absolute = "GET http://evil.example/messages";
    assert_eq!(ask(&daemon, absolute, &["host: localhost"], "").0, 400);
    for host in [
        "localhost",
        "localhost:1",
        "LOCALHOST.",
        "127.0.0.1:8080",
        "[::1]:8080",
    ] {
        let host = format!("host: {host}");
        assert_eq!(ask(&daemon, "GET /messages", &[&host], "").0, 200, "{host}");
    }
    assert_eq!(daemon.get("/handlers").json()[0]["state"], "running");
}

#[test]
fn further_hosts_can_be_allowed() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.set_env("EVENTOS__HTTP__HOSTS", "events.example");
    let daemon = setup.start();
    for (host, status) in [
        ("events.example", 200),
        ("Events.Example:80", 200),
        ("evil.example", 421),
    ] {
        let host = format!("host: {host}");
        assert_eq!(
            ask(&daemon, "GET /messages", &[&host], "").0,
            status,
            "{host}"
        );
    }
}

#[test]
fn a_page_of_another_site_is_refused_everywhere() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let (host, json) = ("host: localhost:8080", "content-type: application/json");
    for header in [
        "origin: http://evil.example",
        "origin: http://localhost:3000",
        "origin: null",
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
    ] {
        assert_refused(&daemon, &[host, json, header], 403);
    }
    for header in [
        "origin: http://localhost:8080",
        "sec-fetch-site: same-origin",
        "sec-fetch-site: none",
    ] {
        assert_eq!(
            ask(&daemon, "GET /messages", &[host, header], "").0,
            200,
            "{header}"
        );
    }
    assert_eq!(daemon.get("/handlers").json()[0]["state"], "running");
    // Another site may link to a page, which is not there yet, and not embed it.
    let navigation = ["sec-fetch-site: cross-site", "sec-fetch-mode: navigate"];
    let to = |destination| [host, navigation[0], navigation[1], destination];
    let (status, response) = ask(&daemon, "GET /", &to("sec-fetch-dest: document"), "");
    assert_eq!(status, 404);
    assert!(response.contains("x-frame-options: DENY"), "{response}");
    assert_eq!(
        ask(&daemon, "GET /", &to("sec-fetch-dest: iframe"), "").0,
        403
    );
    assert_eq!(
        ask(
            &daemon,
            "GET /messages",
            &to("sec-fetch-dest: document"),
            ""
        )
        .0,
        403
    );
}

/// A page may send a body without a media type, or as plain text, without asking the daemon first.
#[test]
fn a_body_needs_a_media_type() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let evento = r#"{"id":1,"tipo":"t"}"#;
    for (request, body) in ENDPOINTS {
        let body = if body.is_empty() { "x" } else { body };
        let (status, response) = ask(&daemon, request, &["host: localhost"], body);
        assert_eq!(status, 415, "{request}: {response}");
    }
    for request in ["POST /send", "POST /send/batch", "PUT /handlers/new"] {
        let plain = ["host: localhost", "content-type: text/plain"];
        assert_eq!(ask(&daemon, request, &plain, evento).0, 415, "{request}");
    }
    let chunked = "transfer-encoding: chunked\r\nhost: localhost\r\nconnection: close";
    let text = format!("POST /send HTTP/1.1\r\n{chunked}\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert!(
        RawHttp::send(&daemon, &text)
            .read()
            .starts_with("HTTP/1.1 415")
    );
    assert_eq!(daemon.get("/messages").text, "[]");
    daemon.send(evento);
}

/// Many clients send all of a body before they read anything.
#[test]
fn a_refusal_reaches_a_client_that_sends_everything_first() {
    let key = NewKey::with(&["--scopes", "read"]);
    let setups =
        ["", &key.table].map(|config| Setup::new(EVENTOS, Broker::Embedded, &["store"], config));
    let [open, guarded] = setups.each_ref().map(Setup::start);
    let body = "x".repeat(10_000_000);
    let json = "content-type: application/json";
    for (daemon, request, headers, status) in [
        (&open, "POST /send", &["host: evil.example", json][..], 421),
        (&open, "POST /send", &["host: localhost"], 415),
        (
            &open,
            "POST /send",
            &["host: localhost", json, "origin: null"],
            403,
        ),
        (&open, "POST /nothing", &["host: localhost", json], 404),
        (&open, "PUT /send", &["host: localhost", json], 405),
        (&guarded, "POST /send", &["host: localhost", json], 401),
        (
            &guarded,
            "POST /peers/replay",
            &["host: localhost", json],
            401,
        ),
    ] {
        let (given, response) = ask(daemon, request, headers, &body);
        assert_eq!(given, status, "{request} {headers:?}: {response}");
    }
    // The response to `Expect: 100-continue` is the refusal.
    let asking = ["host: evil.example", json, "expect: 100-continue"];
    let head = format!(
        "POST /send HTTP/1.1\r\n{}\r\ncontent-length: 9\r\n\r\n",
        asking.join("\r\n")
    );
    let response = RawHttp::send(&open, &head).read();
    assert!(response.starts_with("HTTP/1.1 421"), "{response}");
    assert!(response.contains("connection: close"), "{response}");
}

/// Each client is one that goes on sending after the refusal is known, and some of them take their time.
#[test]
fn a_refusal_closes_the_connection_once_the_body_was_read() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let paths = ["/send", "/send?nonsense=1", "/nothing", "/messages"];
    let mut script = python("clients/urllib_refused.py");
    let answers = Program::run(script.arg(daemon.url("")).args(paths), "");
    let expected = paths.into_iter().zip([415, 400, 404, 405]);
    let expected: Vec<_> = expected
        .flat_map(|(path, status)| vec![format!("{path} {status}"); 3])
        .collect();
    assert_eq!(answers.lines().collect::<Vec<_>>(), expected);

    let part = "x".repeat(1_000_000);
    let head = "POST /nothing HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    for framing in [
        "content-length: 2000000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n",
    ] {
        let is_chunked = framing.starts_with("transfer");
        let framed = |part: &str| match is_chunked {
            true => format!("{:x}\r\n{part}\r\n", part.len()),
            false => part.to_owned(),
        };
        let mut slow = RawHttp::send(&daemon, &format!("{head}{framing}{}", framed(&part)));
        pause(Duration::from_millis(1_200));
        let rest = framed(&part) + if is_chunked { "0\r\n\r\n" } else { "" };
        slow.0.write_all(rest.as_bytes()).expect("it is still read");
        let response = slow.read();
        assert!(response.starts_with("HTTP/1.1 404"), "{response}");
        assert!(response.contains("connection: close"), "{response}");
    }
    // After a body that an endpoint has read to its end, the connection stays open.
    let body = "1\r\n{\r\n0\r\n\r\n";
    let invalid = format!(
        "POST /send HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{body}"
    );
    let last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let both = RawHttp::send(&daemon, &format!("{invalid}{last}")).read();
    assert!(both.starts_with("HTTP/1.1 400"), "{both}");
    assert!(both.contains("HTTP/1.1 200"), "{both}");
}
