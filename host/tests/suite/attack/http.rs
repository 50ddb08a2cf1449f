//! Clients of the HTTP server.

use super::*;

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("bytes that are not HTTP", |target| {
        refused_or_closed(&target.send_raw(b"\x00\xff\x01garbage\r\n\r\n"))
    }),
    ("a TLS greeting on the plain port", |target| {
        refused_or_closed(&target.send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
    }),
    ("the preface of HTTP/2", |target| {
        refused_or_closed(&target.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    }),
    ("a request line of 4 MB", |target| {
        let request = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(4 << 20));
        refused_or_closed(&target.send_raw(request.as_bytes()))
    }),
    ("a header of 4 MB", |target| {
        with_headers(target, &format!("X: {}\r\n", "a".repeat(4 << 20)))
    }),
    ("100,000 headers", |target| {
        with_headers(target, &"a: b\r\n".repeat(100_000))
    }),
    ("a negative content length", |target| {
        with_headers(target, "Content-Length: -1\r\n")
    }),
    ("two different content lengths", |target| {
        with_headers(target, "Content-Length: 5\r\nContent-Length: 6\r\n")
    }),
    ("a chunk with a length of 2^64", |target| {
        let head = "Transfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\n";
        with_headers(target, head)
    }),
    ("300 requests that are half sent", |target| {
        let head = format!(
            "POST /send HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
            target.http_address()
        );
        hold(target, 300, head.as_bytes())
    }),
    ("300 connections that send nothing", |target| {
        hold(target, 300, b"")
    }),
    ("1,000 requests whose answers are not read", |target| {
        let request = format!(
            "GET /openapi.json HTTP/1.1\r\nHost: {0}\r\n\r\nGET /metrics HTTP/1.1\r\nHost: {0}\r\n\r\n",
            target.http_address()
        );
        hold(target, 4, request.repeat(500).as_bytes())
    }),
    ("a path out of the root", |target| {
        let request = format!(
            "GET /../../../../etc/passwd HTTP/1.1\r\nHost: {}\r\n\r\n",
            target.http_address()
        );
        refused_or_closed(&target.send_raw(request.as_bytes()))
    }),
    ("a handler name out of the drop-in folder", |target| {
        refused(&put(target, "..%2F..%2Fevil", b"\0asm".to_vec()))
    }),
    ("a handler name with a NUL byte", |target| {
        refused(&put(target, "a%00b", b"\0asm".to_vec()))
    }),
    ("an Evento nested 200,000 deep", |target| {
        let nested = format!(
            r#"{{"id":1,"tipo":"good","x":{}{}}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        answered(&post(target, nested)?)
    }),
    ("an Evento of 64 MB", |target| {
        send(
            target,
            format!(r#"{{"id":1,"tipo":"good","x":"{}"}}"#, "x".repeat(64 << 20)),
        )
    }),
    ("an Evento that is not UTF-8", |target| {
        send(target, b"{\"id\":\"\xff\",\"tipo\":\"good\"}".to_vec())
    }),
    ("half of a surrogate pair as an id", |target| {
        send(target, r#"{"id":"\ud800","tipo":"good"}"#)
    }),
    ("an Evento without a tipo", |target| {
        send(target, r#"{"id":1}"#)
    }),
    ("a batch with a line of 64 MB", |target| {
        let answer = target.daemon.request(reqwest::Method::POST, "/send/batch");
        let body = vec![b'x'; 64 << 20];
        let answer = answer
            .header("content-type", "application/x-ndjson")
            .body(body);
        match answer.send() {
            Ok(answer) => {
                let text = answer.text().unwrap_or_default();
                match text.contains("message sent") {
                    false => Ok(format!("refused: {text}")),
                    true => Err(text),
                }
            }
            Err(_) => Ok("the connection is closed".to_owned()),
        }
    }),
    ("a query of 30,000 characters", |target| {
        let path = format!("/messages?tipo={}", "x".repeat(30_000));
        answered(&target.daemon.get(&path))
    }),
    ("a cursor that is none", |target| {
        read(target, "/messages?after=0:1,0:2")
    }),
    ("a limit of 2^64", |target| {
        read(target, "/messages?limit=18446744073709551616")
    }),
    ("an offset beyond all numbers", |target| {
        read(target, "/messages?min_offset=0:9223372036854775808")
    }),
    ("a parameter that is repeated", |target| {
        read(target, "/messages?order=asc&order=desc")
    }),
    ("a percent escape that is not UTF-8", |target| {
        read(target, "/messages?tipo=%ff%fe")
    }),
    ("a dead-letter query with nonsense", |target| {
        read(target, "/dead-letters?positions=0:-1,:::&since=yesterday")
    }),
    ("a replay from the year 262144", |target| {
        let answer = target.daemon.post("/replay?from=+262144-01-01T00:00:00Z");
        refused(&answer)
    }),
    ("a method that does not exist", |target| {
        let request = format!(
            "DESTROY /messages HTTP/1.1\r\nHost: {}\r\n\r\n",
            target.http_address()
        );
        refused_or_closed(&target.send_raw(request.as_bytes()))
    }),
];

fn with_headers(target: &Target, headers: &str) -> Outcome {
    let host = target.http_address();
    let json = "Content-Type: application/json";
    let request = format!("POST /send HTTP/1.1\r\nHost: {host}\r\n{json}\r\n{headers}\r\n");
    refused_or_closed(&target.send_raw(request.as_bytes()))
}

/// Opens connections, sends the same over each, and keeps them while an honest client asks.
fn hold(target: &Target, count: usize, bytes: &[u8]) -> Outcome {
    let address = target.http_address();
    let mut held: Vec<_> = (0..count).map(|_| connect(&address)).collect();
    for stream in &mut held {
        let timeout = Some(Duration::from_millis(200));
        stream.set_write_timeout(timeout).expect("a socket option");
        let _ = stream.write_all(bytes);
    }
    target.check_alive()?;
    let answer = target.daemon.get("/messages?limit=1");
    match answer.status.is_success() {
        true => Ok(format!("others are answered while {count} are held")),
        false => Err(format!("others get {}", answer.status)),
    }
}

fn put(target: &Target, name: &str, module: Vec<u8>) -> Answer {
    let path = format!("/handlers/{name}");
    let request = target.daemon.request(reqwest::Method::PUT, &path);
    let request = request
        .header("content-type", "application/wasm")
        .body(module);
    request.send().expect("the daemon answers").into()
}

/// Sends an Evento; an error if the connection was closed.
fn post(target: &Target, body: impl Into<Vec<u8>>) -> Result<Answer, String> {
    let request = target.daemon.request(reqwest::Method::POST, "/send");
    let request = request
        .header("content-type", "application/json")
        .body(body.into());
    let answer = request.send().map_err(|error| error.to_string())?;
    Ok(answer.into())
}

fn send(target: &Target, body: impl Into<Vec<u8>>) -> Outcome {
    match post(target, body) {
        Ok(answer) => refused(&answer),
        Err(_) => Ok("the connection is closed".to_owned()),
    }
}

/// Contained if the daemon responds at all, and not with an error of its own.
fn answered(answer: &Answer) -> Outcome {
    match answer.status.is_server_error() {
        false => Ok(format!("answered with {}", answer.status)),
        true => Err(format!("answered {}: {}", answer.status, answer.text)),
    }
}

fn read(target: &Target, path: &str) -> Outcome {
    refused(&target.daemon.get(path))
}
