//! Batches through a real socket; what would be the broker is a function.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    super::body::MAX_EVENTO,
    super::tests::{Enqueued, Seen, Server, acknowledging, problem, recording},
    sender::MAX_IN_FLIGHT,
};
use crate::{
    event::{Offset, Partition},
    kafka::{Delivered, ProduceError},
};

async fn post(server: &Server, content_type: &str, body: impl Into<reqwest::Body>) -> Vec<Value> {
    let request = server.client.post(server.url("/send/batch")).body(body);
    let response = request.header("content-type", content_type).send().await;
    let response = response.expect("it answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    lines(&response.text().await.expect("whole"))
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("a line is JSON");
    text.lines().map(parse).collect()
}

/// `index status` of each line.
fn outline(lines: &[Value]) -> Vec<String> {
    let one = |line: &Value| {
        let status = line["status"].as_str().expect("a status");
        let kind = line["problem"]["status"]
            .as_u64()
            .map(|status| format!(" {status}"));
        format!("{} {status}{}", line["index"], kind.unwrap_or_default())
    };
    lines.iter().map(one).collect()
}

#[tokio::test]
async fn each_line_is_answered_in_its_place() {
    let server = Server::start(acknowledging()).await;
    let long = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(3_000_000));
    let start = r#"{"id":1,"tipo":"t","x":""#;
    let exact = format!("{start}{}\"}}\r", "x".repeat(MAX_EVENTO - start.len() - 2));
    let body = [
        r#"{"id":1,"tipo":"t"}"#,
        "",
        "  \r",
        "nonsense",
        &long,
        &exact,
        "\u{e9} {\"id\":2}\r",
        r#"{"id":2}"#,
        r#"{"id":3,"tipo":"t"}"#,
    ];
    let answers = post(&server, "application/x-ndjson", body.join("\n")).await;
    let expected = [
        "0 message sent",
        "1 refused 400",
        "2 refused 413",
        "3 message sent",
        "4 refused 400",
        "5 refused 422",
        "6 message sent",
    ];
    assert_eq!(outline(&answers), expected);
    assert_eq!(answers[5]["problem"]["errors"][0]["pointer"], "/tipo");
    assert_eq!(
        (&answers[6]["partition"], &answers[6]["offset"]),
        (&0.into(), &2.into())
    );
    assert!(
        post(&server, "application/x-ndjson", " \n \n")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn an_array_is_answered_element_by_element_up_to_where_it_breaks() {
    let server = Server::start(acknowledging()).await;
    let one = r#"{"id":1,"tipo":"t","x":["]",{"y":"\"["}]}"#;
    let array = format!(" \n[{one}, 7 ,\n{one}]\n");
    let answers = post(&server, "application/json", array).await;
    assert_eq!(
        outline(&answers),
        ["0 message sent", "1 refused 422", "2 message sent"]
    );
    assert!(post(&server, "application/json", "[]").await.is_empty());
    for (broken, sent) in [
        (format!("[{one},{one} oops {one}]"), 2),
        (format!("[{one},"), 1),
        (format!("[{one}] {one}"), 1),
        (format!("[{one},\"{}\"]", "x".repeat(20_000_000)), 1),
    ] {
        let answers = post(&server, "application/json", broken.clone()).await;
        let mut expected: Vec<_> = (0..sent).map(|i| format!("{i} message sent")).collect();
        expected.push(format!("{sent} stopped 400"));
        assert_eq!(outline(&answers), expected, "{:.80}", broken);
        let detail = answers[sent]["problem"]["detail"].to_string();
        assert!(detail.contains("nothing from here on was sent"), "{detail}");
    }
}

#[tokio::test]
async fn the_media_type_decides_what_a_bracket_begins() {
    let server = Server::start(acknowledging()).await;
    let one = r#"{"id":1,"tipo":"t"}"#;
    let lines = format!("[2026-11-29 18:00:00] WARN\n{one}\n{one}\n");
    for content_type in super::TYPES.into_iter().filter(|of| *of != super::JSON) {
        for content_type in [content_type, &content_type.to_uppercase()] {
            let answers = post(
                &server,
                &format!("{content_type}; charset=utf-8"),
                lines.clone(),
            )
            .await;
            assert_eq!(
                outline(&answers),
                ["0 refused 400", "1 message sent", "2 message sent"],
                "{content_type}"
            );
        }
    }
    let answers = post(&server, "application/x-ndjson", format!("[{one}]\n{one}")).await;
    assert_eq!(outline(&answers), ["0 refused 422", "1 message sent"]);
    let answers = post(&server, "application/json", lines).await;
    assert_eq!(outline(&answers), ["0 stopped 400"]);
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_however_the_body_arrives() {
    let seen = Seen::default();
    let server = Server::start(recording(&seen)).await;
    let one = r#"{"id":1,"tipo":"t"}"#;
    for (content_type, body) in [
        (
            "application/x-ndjson",
            format!("\u{feff}{one}\n\u{feff}{one}\n"),
        ),
        ("application/json", format!("\u{feff}{one}\n{one}")),
        ("application/json", format!("\u{feff}[{one},{one}]")),
        ("application/json", format!(" \n\u{feff}\n [{one},{one}]")),
    ] {
        for length in [1, 2, 1_000] {
            let chunks: Vec<_> = body.as_bytes().chunks(length).map(<[u8]>::to_vec).collect();
            let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, io::Error>));
            let body = reqwest::Body::wrap_stream(chunks);
            let answers = post(&server, content_type, body).await;
            assert_eq!(outline(&answers), ["0 message sent", "1 message sent"]);
        }
    }
    let sent = server
        .client
        .post(server.url("/send"))
        .header("content-type", "application/json")
        .body(format!("\u{feff} {one}\n"));
    assert_eq!(sent.send().await.expect("it answers").status(), 200);
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.len(), 25);
    assert!(seen.iter().all(|value| value == one.as_bytes()));
}

#[tokio::test]
async fn a_full_queue_is_waited_for_and_the_order_is_kept() {
    let (seen, calls) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let sees = Arc::clone(&seen);
    let server = Server::start(move |_, value: &[u8]| {
        if calls.fetch_add(1, SeqCst) % 7 == 3 {
            return Err(ProduceError::QueueFull);
        }
        let mut seen = sees.lock().expect("not poisoned");
        seen.push(String::from_utf8(value.to_vec()).expect("UTF-8"));
        let delivered = Delivered {
            partition: Partition(0),
            offset: Offset(seen.len() as i64),
        };
        // The later, the sooner it is acknowledged.
        let pause = Duration::from_millis(50_u64.saturating_sub(seen.len() as u64));
        let slow = tokio::time::sleep(pause).map(move |()| Ok(delivered));
        Ok(slow.boxed())
    })
    .await;
    let body: Vec<_> = (0..100)
        .map(|i| format!(r#"{{"id":{i},"tipo":"t"}}"#))
        .collect();
    let answers = post(&server, "application/x-ndjson", body.join("\n")).await;
    assert_eq!(*seen.lock().expect("not poisoned"), body);
    let offsets: Vec<_> = answers
        .iter()
        .map(|answer| answer["offset"].as_i64())
        .collect();
    assert_eq!(offsets, (1..=100).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_more_than_a_bounded_number_waits_for_the_broker() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counts, highest) = (Arc::clone(&under_way), Arc::clone(&most));
    let server = Server::start(move |_, _| {
        highest.fetch_max(counts.fetch_add(1, SeqCst) + 1, SeqCst);
        let counts = Arc::clone(&counts);
        let slow = tokio::time::sleep(Duration::from_millis(5)).map(move |()| {
            counts.fetch_sub(1, SeqCst);
            Err(ProduceError::Refused("no key".into()))
        });
        Ok(slow.boxed())
    })
    .await;
    let body = "{\"id\":1,\"tipo\":\"t\"}\n".repeat(5_000);
    let answers = post(&server, "application/x-ndjson", body).await;
    assert_eq!(answers.len(), 5_000);
    assert!(
        answers
            .iter()
            .all(|answer| answer["problem"]["status"] == 502)
    );
    assert!(most.load(SeqCst) <= MAX_IN_FLIGHT, "{most:?}");
}

/// Writes everything before it reads anything, as most clients do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_all_before_reading_is_answered() {
    let server = Server::start(acknowledging()).await;
    let one = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(70));
    for (body, kind) in [
        (format!("{one}\n").repeat(200_000), "message sent"),
        ("nonsense\n".repeat(200_000), "refused"),
        (
            format!("[{}{one}]", format!("{one},").repeat(199_999)),
            "message sent",
        ),
    ] {
        let text = send_all_then_read(&server, &body).await;
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('{')).collect();
        assert_eq!(lines.len(), 200_000);
        let last: Value = serde_json::from_str(lines[199_999]).expect("JSON");
        assert_eq!(
            (&last["index"], &last["status"]),
            (&199_999.into(), &kind.into())
        );
    }
}

/// The answer's chunks one after the other, without what frames them.
async fn send_all_then_read(server: &Server, body: &str) -> String {
    let mut connection = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let length = body.len();
    let head = format!(
        "POST /send/batch HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    connection
        .write_all(head.as_bytes())
        .await
        .expect("written");
    let written = tokio::time::timeout(
        Duration::from_secs(60),
        connection.write_all(body.as_bytes()),
    );
    written.await.expect("no deadlock").expect("written");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.expect("read");
    let mut rest = &answer[answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head")
        + 4..];
    let mut text = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("hexadecimal");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        if size == 0 {
            return String::from_utf8(text).expect("UTF-8");
        }
        text.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// One Evento at a time, each answered before the next is sent.
#[tokio::test]
async fn it_answers_while_it_reads() {
    let server = Server::start(acknowledging()).await;
    let mut connection = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let head = "POST /send/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    connection
        .write_all(head.as_bytes())
        .await
        .expect("written");
    let mut answer = String::new();
    for i in 0..3 {
        let line = format!("{{\"id\":{i},\"tipo\":\"t\"}}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        connection
            .write_all(chunk.as_bytes())
            .await
            .expect("written");
        let read = async {
            while !answer.contains(&format!("\"index\":{i},")) {
                let mut buffer = [0; 1024];
                let length = connection.read(&mut buffer).await.expect("read");
                answer.push_str(std::str::from_utf8(&buffer[..length]).expect("UTF-8"));
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(10), read).await;
        within.expect("answered before the body ends");
    }
}

#[tokio::test]
async fn who_goes_away_stops_it() {
    let waiting = Arc::new(());
    let held = Arc::clone(&waiting);
    let server = Server::start(move |_, _| {
        let held = Arc::clone(&held);
        let forever = async move {
            let _held = held;
            std::future::pending().await
        };
        Ok(forever.boxed())
    })
    .await;
    let mut connection = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let request = "POST /send/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{\"id\":1,\"tipo\":\"t\"}\n";
    connection
        .write_all(request.as_bytes())
        .await
        .expect("written");
    // Ours, the function's, and that of the one Evento that waits for the broker.
    until(|| Arc::strong_count(&waiting) == 3).await;
    drop(connection);
    until(|| Arc::strong_count(&waiting) == 2).await;
}

/// Returns a sink that acknowledges this many Eventos, and then fails like this.
fn failing_after(
    count: usize,
    error: ProduceError,
) -> impl Fn(Option<&[u8]>, &[u8]) -> Enqueued + Send + Sync + 'static {
    let (acknowledge, calls) = (acknowledging(), AtomicUsize::new(0));
    move |key, value| match calls.fetch_add(1, SeqCst) {
        call if call < count => acknowledge(key, value),
        _ => Ok(std::future::ready(Err(error.clone())).boxed()),
    }
}

const BROKER_FAILURES: [(ProduceError, u16); 4] = [
    (ProduceError::Disconnected, 503),
    (ProduceError::TopicMissing(String::new()), 503),
    (ProduceError::Unavailable(String::new()), 503),
    (ProduceError::NotPermitted, 502),
];

#[tokio::test]
async fn a_broker_that_fails_at_once_is_a_problem_of_the_batch() {
    for (error, status) in BROKER_FAILURES {
        for enqueues in [true, false] {
            let error = error.clone();
            let server = Server::start(move |_, _| match enqueues {
                true => Ok(std::future::ready(Err(error.clone())).boxed()),
                false => Err(error.clone()),
            })
            .await;
            let body = "{\"id\":1,\"tipo\":\"t\"}\n".repeat(5);
            let request = server.client.post(server.url("/send/batch")).body(body);
            let request = request.header("content-type", "application/x-ndjson");
            let answer = request.send().await.expect("it answers");
            assert_eq!(
                answer.headers().contains_key("retry-after"),
                status == 503,
                "{answer:?}"
            );
            problem(answer, status).await;
            let metrics = server.client.get(server.url("/metrics")).send().await;
            let metrics = metrics.expect("it answers").text().await.expect("whole");
            assert!(metrics.contains("eventos_send_refused_total{"), "{metrics}");
        }
    }
}

#[tokio::test]
async fn a_broker_that_fails_later_breaks_off_the_answer() {
    for (error, _) in BROKER_FAILURES {
        let server = Server::start(failing_after(3, error)).await;
        let body = "{\"id\":1,\"tipo\":\"t\"}\n".repeat(5);
        let answer = exchange(&server, &request(&body, body.len()), false).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.ends_with(LAST_CHUNK), "{answer}");
        assert!(!answer.contains("refused"), "{answer}");
    }
}

/// A proxy may speak HTTP/1.0 to the daemon, in which an answer that breaks off looks like one that ends.
#[tokio::test]
async fn with_http_1_0_the_answer_begins_when_the_batch_ends() {
    let body = "{\"id\":1,\"tipo\":\"t\"}\n".repeat(5);
    let old = request(&body, body.len()).replace("HTTP/1.1", "HTTP/1.0");
    for (count, status) in [(3, "503"), (5, "200")] {
        let failing = failing_after(count, ProduceError::Disconnected);
        let answer = exchange(&Server::start(failing).await, &old, false).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{answer}"
        );
        let sent = answer.matches("message sent").count();
        assert_eq!(sent, if status == "200" { 5 } else { 0 }, "{answer}");
    }
    let cut = request(&body, body.len() + 9).replace("HTTP/1.1", "HTTP/1.0");
    let answer = exchange(&Server::start(acknowledging()).await, &cut, true).await;
    assert!(!answer.contains("200"), "{answer}");
}

/// The end of a chunked body that is whole.
const LAST_CHUNK: &str = "0\r\n\r\n";

/// Returns a request that promises a body of `length` bytes, and has this one.
fn request(body: &str, length: usize) -> String {
    format!(
        "POST /send/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Sends this text, and then the end of all texts if it is the `last`. Returns everything that comes back.
async fn exchange(server: &Server, text: &str, last: bool) -> String {
    let connection = TcpStream::connect(server.address).await;
    let mut connection = connection.expect("it listens");
    let sent = connection.write_all(text.as_bytes()).await;
    sent.expect("it reads");
    if last {
        connection.shutdown().await.expect("it is connected");
    }
    let mut answer = Vec::new();
    // A reset is an end as well.
    let read = connection.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the server closes the connection");
    String::from_utf8(answer).expect("UTF-8")
}

#[tokio::test]
async fn an_answer_to_a_body_that_breaks_off_is_never_whole() {
    let server = Server::start(acknowledging()).await;
    let one = r#"{"id":1,"tipo":"t"}"#;
    for body in [
        "".to_owned(),
        one[..9].to_owned(),
        format!("{one}\n"),
        format!("{one}\n{one}\n").repeat(50),
        format!("{one}\n{one}"),
        format!("[{one}"),
        format!("[{one},"),
    ] {
        // The end arrives together with the last bytes, or long after them.
        for _ in 0..20 {
            let answer = exchange(&server, &request(&body, body.len() + 50), true).await;
            assert!(!answer.ends_with(LAST_CHUNK), "{body:.50}: {answer}");
            assert!(!answer.contains("stopped"), "{body:.50}: {answer}");
        }
        let whole = exchange(&server, &request(&body, body.len()), false).await;
        assert!(whole.ends_with(LAST_CHUNK), "{body:.50}: {whole}");
    }
}

async fn until(done: impl Fn() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(10), poll).await;
    within.expect("it comes to pass");
}
