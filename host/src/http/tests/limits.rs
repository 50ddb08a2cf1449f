//! Clients that do not finish what they begin, and how many there may be.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Server, acknowledging, problem};
use crate::{
    event::{Offset, Partition},
    http::server::Limits,
    kafka::Delivered,
};

const GET_MESSAGES: &str = "GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Limits that a test can wait for.
fn short() -> Limits {
    let short = Duration::from_millis(200);
    Limits {
        connections: 100,
        head: short,
        body: short,
        response: short,
    }
}

/// Sends these bytes, and returns everything that comes until the server closes the connection.
async fn exchange(server: &Server, bytes: &str) -> String {
    read_all(connect(server, bytes).await).await
}

/// Connects, and sends these bytes.
async fn connect(server: &Server, bytes: &str) -> TcpStream {
    let connection = TcpStream::connect(server.address).await;
    let mut connection = connection.expect("it listens");
    let sent = connection.write_all(bytes.as_bytes()).await;
    sent.expect("it reads");
    connection
}

async fn read_all(mut connection: TcpStream) -> String {
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    let within = tokio::time::timeout(Duration::from_secs(20), read).await;
    // A reset is an end as well.
    let _ = within.expect("the server closes the connection");
    answer
}

#[tokio::test]
async fn a_client_that_stops_sending_is_disconnected() {
    let server = Server::start_with(short(), acknowledging()).await;
    let json = "host: localhost\r\ncontent-type: application/json\r\n";
    for (sent, answer) in [
        ("".to_owned(), ""),
        ("GET /healthz HTTP/1.1\r\nhost: loc".to_owned(), ""),
        // Between two requests.
        (
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
            "HTTP/1.1 200",
        ),
        (
            format!("POST /send HTTP/1.1\r\n{json}content-length: 9\r\n\r\n{{"),
            "HTTP/1.1 408",
        ),
        (
            format!("POST /send HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\n"),
            "HTTP/1.1 408",
        ),
        (
            format!("POST /send/batch HTTP/1.1\r\n{json}content-length: 9\r\n\r\n"),
            "HTTP/1.1 408",
        ),
        (
            format!("POST /send/batch HTTP/1.1\r\n{json}content-length: 9\r\n\r\n["),
            "HTTP/1.1 408",
        ),
        (
            format!(
                "POST /send/batch HTTP/1.1\r\n{json}content-length: 99\r\n\r\n{{\"id\":1,\"tipo\":\"t\"}}\n"
            ),
            "HTTP/1.1 200",
        ),
        (
            format!("POST /nowhere HTTP/1.1\r\n{json}content-length: 9\r\n\r\n["),
            "HTTP/1.1 404",
        ),
    ] {
        let given = exchange(&server, &sent).await;
        assert!(given.starts_with(answer), "{sent:?}: {given:?}");
    }
}

#[tokio::test]
async fn the_daemon_may_take_longer_than_the_client() {
    let server = Server::start_with(short(), |_, _| {
        let late = tokio::time::sleep(4 * short().body).map(|()| {
            let (partition, offset) = (Partition(0), Offset(0));
            Ok(Delivered { partition, offset })
        });
        Ok(late.boxed())
    })
    .await;
    for path in ["/send", "/send/batch"] {
        let sent = server.send(path, "application/json", r#"{"id":1,"tipo":"t"}"#);
        assert_eq!(sent.await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_the_store_can_be_read_meanwhile() {
    let server = Server::start_with(short(), acknowledging()).await;
    let large = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(900_000));
    server.store(0, &[large.as_str(); 30]);
    let mut connection = connect(&server, GET_MESSAGES).await;
    tokio::time::sleep(10 * short().response).await;
    let others = server.get("/messages").await.bytes().await;
    assert!(others.expect("whole").len() > 27_000_000);
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    // Some of it was on its way. The rest was not kept for the client.
    assert!(answer.len() < 27_000_000, "{}", answer.len());
}

#[tokio::test]
async fn who_sends_nothing_locks_nobody_out() {
    let server = Server::start_with(Limits::new(10), acknowledging()).await;
    let mut silent = Vec::new();
    for i in 0..50 {
        let start = match i % 3 {
            0 => "",
            1 => "GET /",
            _ => {
                "POST /send/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 content-length: 9\r\n\r\n["
            }
        };
        silent.push(connect(&server, start).await);
    }
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.get("/healthz").await.status(), 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_uri_that_is_too_long_is_refused() {
    let server = Server::start(acknowledging()).await;
    let tipo = |length| format!("/messages?tipo={}", "x".repeat(length));
    assert_eq!(server.get(&tipo(19_000)).await.status(), 200);
    problem(server.get(&tipo(30_000)).await, 414).await;
    problem(server.get(&format!("/{}", "x".repeat(60_000))).await, 414).await;
    // No client of ours can send this one, which hyper refuses, without a body.
    let line = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", tipo(66_000));
    let answer = exchange(&server, &line).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn headers_that_are_too_many_or_too_large_are_refused_with_a_problem() {
    let server = Server::start(acknowledging()).await;
    let with = |count: usize, length: usize| {
        let header = |i| format!("x-{i}: {}\r\n", "x".repeat(length));
        let headers: String = (0..count).map(header).collect();
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
    };
    for (count, length, status, has_problem) in [
        (98, 100, 200, false),
        (99, 1, 431, true),
        (250, 1, 431, true),
        (1, 24_000, 200, false),
        (1, 25_000, 431, true),
        (2, 40_000, 431, true),
        (20, 10_000, 431, false),
        (400, 1, 431, false),
    ] {
        let answer = exchange(&server, &with(count, length)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{count} {length}: {answer}"
        );
        let is_problem = answer.contains("urn:eventos:problem:large-headers");
        assert_eq!(is_problem, has_problem, "{count} {length}: {answer}");
    }
}

#[tokio::test]
async fn who_reads_nothing_locks_nobody_out() {
    let server = Server::start_with(Limits::new(10), acknowledging()).await;
    let large = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(900_000));
    server.store(0, &[large.as_str(); 30]);
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(connect(&server, GET_MESSAGES).await);
    }
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.get("/healthz").await.status(), 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_in_time_and_length() {
    let server = Server::start_with(short(), acknowledging()).await;
    let mut slow = connect(&server, "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    let began = Instant::now();
    // It fails once the server has closed the connection.
    while slow.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(short().head / 10).await;
    }

    let server = Server::start(acknowledging()).await;
    let mut long = connect(&server, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await;
    let header = format!("x: {}\r\n", "x".repeat(1000));
    let mut sent = 0;
    while long.write_all(header.as_bytes()).await.is_ok() {
        sent += header.len();
        assert!(sent < 64 << 20, "{sent} bytes of a head were read");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_as_many_as_there_are() {
    let server = Server::start_with(short(), acknowledging()).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let pipelined = (request("/healthz") + &request("/nowhere")).repeat(500);
    let answers = exchange(&server, &pipelined).await;
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, name)| &answers[at + name.len()..][..3])
        .collect();
    assert_eq!(statuses, ["200", "404"].repeat(500));
}
