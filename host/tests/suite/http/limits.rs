//! Requests that are half sent, too long, or cancelled.

use std::{
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{Broker, Setup, eventually, handler, wait::pause};

use super::RawHttp;
use crate::EVENTOS;

/// Half-sent requests of every kind, more than there are threads for blocking calls. Meanwhile the daemon does what needs
/// such threads, and SIGTERM ends it.
#[test]
fn half_sent_requests_hold_no_threads_and_no_shutdown() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let half_sent = |i: usize| {
        let (line, body) = match i % 7 {
            0 => ("PUT /handlers/new", "\0asm"),
            1 => ("POST /send", "{"),
            2 => ("POST /peers/replay", "{"),
            _ => ("POST /send/batch", "[{\"id\":1,"),
        };
        let media_type = match i % 7 {
            0 => "application/wasm",
            2 => "application/vnd.eventos.replay-1+json",
            _ => "application/json",
        };
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\ncontent-length: 1000\r\n\r\n"
        );
        RawHttp::send(&daemon, &format!("{head}{body}"))
    };
    let connections: Vec<_> = (0..700).map(half_sent).collect();

    let began = Instant::now();
    daemon.send(r#"{"id":1,"tipo":"t"}"#);
    daemon.wait_for_messages(1);
    daemon.get("/dead-letters").assert_status(200);
    daemon.pause("store");
    daemon.resume("store");
    daemon
        .post("/replay?from=earliest&dry_run=true")
        .assert_status(200);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");

    let began = Instant::now();
    daemon.signal("TERM");
    let (status, log) = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{log}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(connections);
}

/// The query for a peer is longer than the one that a client sent, because everything in it is percent-encoded.
#[test]
fn a_long_query_is_refused_or_answered_also_with_two_daemons() {
    let first = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let one = first.start();
    let mut second = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    one.broker().clone_into(&mut second.servers);
    second.name.clone_from(&first.name);
    let two = second.start();
    for daemon in [&one, &two] {
        eventually("partitions on both, and an answer for all of them", || {
            let is_whole = daemon
                .get("/messages")
                .header("x-partitions-missing")
                .is_none();
            (is_whole && daemon.get("/partitions").text != "[]").then_some(())
        });
    }
    for daemon in [&one, &two] {
        for length in [30_000, 60_000] {
            let query = format!("/messages?tipo={}", "x".repeat(length));
            let answer = daemon.get(&query);
            assert_eq!(answer.status, 414, "{length}: {}", answer.text);
        }
        for sent in ["x", "+", "%3D", "!"] {
            let query = format!("/messages?tipo={}", sent.repeat(19_900 / sent.len()));
            let answer = daemon.get(&query);
            assert_eq!(answer.status, 200, "{sent}: {}", answer.text);
            assert_eq!(answer.header("x-partitions-missing"), None, "{sent}");
        }
    }
    let log = one.log() + &two.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// A handler that is uploaded while the daemon stops is either installed and answered, or not installed.
#[test]
fn an_upload_that_was_not_answered_is_not_installed() {
    for after_ms in [0, 5, 20, 60, 150] {
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
        // Nothing is compiled yet, so that it takes a while.
        setup.cache = setup.dir.path().join("cache");
        let daemon = setup.start();
        let module = std::fs::read(handler("probe")).expect("the handler is built");
        let head = format!(
            "PUT /handlers/50-late HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/wasm\r\ncontent-length: {}\r\n\r\n",
            module.len()
        );
        let mut upload = RawHttp::send(&daemon, &head);
        std::io::Write::write_all(&mut upload.0, &module).expect("it is sent");
        let answer = thread::spawn(move || upload.read());
        pause(Duration::from_millis(after_ms));
        daemon.signal("TERM");
        let (status, log) = daemon.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{log}");
        let answered = answer.join().expect("it reads").starts_with("HTTP/1.1 201");
        let installed = setup.dir.path().join("plugins/50-late.wasm").exists();
        assert_eq!(answered, installed, "after {after_ms} ms");
    }
}

/// The clients do not read the responses, and the daemon keeps only a part of each.
#[test]
fn responses_that_nobody_reads_take_bounded_memory() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    let value = "x".repeat(900_000);
    let eventos: Vec<_> = (0..20)
        .map(|id| format!(r#"{{"id":{id},"tipo":"t","x":"{value}"}}"#))
        .collect();
    daemon.send_all(&eventos);
    daemon.wait_for_messages(20);
    let before = resident_bytes(daemon.pid());
    let request = "GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let unread: Vec<_> = (0..200).map(|_| RawHttp::send(&daemon, request)).collect();
    daemon.wait_for_messages(20);
    let grown = resident_bytes(daemon.pid()).saturating_sub(before);
    // 200 whole responses would take 3.6 GB.
    assert!(grown < 500 << 20, "{} MiB", grown >> 20);
    drop(unread);
}

/// Returns the resident memory of a process.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a figure").parse::<u64>().expect("a number") << 10
}
