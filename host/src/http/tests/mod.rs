//! Through a real socket; what would be the broker is a function.

mod encodings;
mod limits;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use futures_util::FutureExt;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{outbox::test_sink::Delivery, *};
use crate::{
    event::{Batch, Offset, Partition, Timestamp, TopicPartition},
    kafka::{Delivered, ProduceError},
    peers::Config as PeersConfig,
    store,
    telemetry::metrics::MetricsFormat,
};

/// A server on a port of its own, until the test's runtime ends.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) store: Store,
    pub(super) readiness: Readiness,
    pub(super) client: Client,
}

pub(super) type Enqueued = Result<Delivery, ProduceError>;

impl Server {
    pub(super) async fn start(
        enqueue: impl Fn(Option<&[u8]>, &[u8]) -> Enqueued + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Limits::new(100), enqueue).await
    }

    /// Starts a server with limits of its own.
    pub(super) async fn start_with(
        limits: Limits,
        enqueue: impl Fn(Option<&[u8]>, &[u8]) -> Enqueued + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (store, metrics) = (Store::new(&store::Config::default()), Metrics::new());
        let readiness = Readiness::new(["handlers", "group"]);
        let views = Views {
            store: store.clone(),
            peers: Peers::new(
                &PeersConfig::default(),
                tokio::sync::watch::channel(Arc::default()).1,
                None,
                0,
                certificates(),
            ),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            refusals: Refusals::default(),
            topics: ProducedTopics::default(),
            hold: ChainHold::default(),
            pages: MemoryBudget::of_mib(PAGES_MIB),
        };
        let router = router(Outbox::from_fn(enqueue, metrics), views, Router::new());
        tokio::spawn(server::serve(
            listener,
            router,
            limits,
            certificates(),
            std::future::pending(),
        ));
        Self {
            address,
            store,
            readiness,
            client: eventos_testkit::async_client(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Response {
        let sent = self.client.get(self.url(path)).send().await;
        sent.expect("it answers")
    }

    async fn send(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.client.post(self.url(path)).body(body);
        let sent = request.header("content-type", content_type).send().await;
        sent.expect("it answers")
    }

    /// Stores Eventos of partition 0, a value each.
    fn store(&self, first: i64, values: &[&str]) {
        let (batch, all) = batch(first, values);
        self.store.append(&[(&batch, &all)]);
    }
}

fn batch(first: i64, values: &[&str]) -> (Batch, Vec<u32>) {
    let mut raw = Batch::new(TopicPartition::new("eventos", Partition(0)));
    for (offset, value) in (first..).zip(values) {
        raw.push(
            Offset(offset),
            None,
            Some(value.as_bytes()),
            [],
            (Timestamp(0), 0),
        );
    }
    assert!(raw.read().offsets.is_empty());
    let batch = raw;
    let all = (0..).take(values.len()).collect();
    (batch, all)
}

/// Acknowledges everything, with one offset after the other.
pub(super) fn acknowledging() -> impl Fn(Option<&[u8]>, &[u8]) -> Enqueued + Send + Sync + 'static {
    let next = AtomicI64::new(0);
    move |_, _| {
        let (partition, offset) = (Partition(0), Offset(next.fetch_add(1, SeqCst)));
        Ok(std::future::ready(Ok(Delivered { partition, offset })).boxed())
    }
}

/// The Eventos that were sent, in their order.
pub(super) type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// Acknowledges everything, and keeps it in `seen`.
pub(super) fn recording(
    seen: &Seen,
) -> impl Fn(Option<&[u8]>, &[u8]) -> Enqueued + Send + Sync + 'static {
    let (seen, acknowledge) = (Arc::clone(seen), acknowledging());
    move |key, value| {
        seen.lock().expect("not poisoned").push(value.to_vec());
        acknowledge(key, value)
    }
}

/// Returns the certificates of a daemon without TLS.
fn certificates() -> Certificates {
    Certificates::load(&crate::tls::Config::default()).expect("no files")
}

pub(super) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("ascii"))
}

/// A problem's members, after those that each must have were checked.
pub(super) async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
    assert_eq!(response.status(), status);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].is_string(), "{problem}");
    }
    problem
}

#[tokio::test]
async fn what_was_sent_is_answered_to_the_digit() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let enqueue = move |key: Option<&[u8]>, value: &[u8]| {
        let seen = (key.map(<[u8]>::to_vec), value.to_vec());
        sees.lock().expect("not poisoned").push(seen);
        let (partition, offset) = (Partition(3), Offset(42));
        Ok(std::future::ready(Ok(Delivered { partition, offset })).boxed())
    };
    let server = Server::start(enqueue).await;
    let evento = r#"{"z":1.10,"id":9223372036854775808,"tipo":"t", "a":1e400,"é":"\u00e9"}"#;
    let body = format!(" {evento}\n");
    let response = server
        .send("/send?key=a%2Fb+c", "application/json; charset=utf-8", body)
        .await;
    assert_eq!(
        (
            response.status().as_u16(),
            header(&response, "content-type")
        ),
        (200, "application/json")
    );
    let answer = response.text().await.expect("text");
    let expected =
        format!(r#"{{"status":"message sent","evento":{evento},"partition":3,"offset":42}}"#);
    assert_eq!(answer, expected);
    let expected = [(Some(b"a/b c".to_vec()), evento.as_bytes().to_vec())];
    assert_eq!(*seen.lock().expect("not poisoned"), expected);
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("eventos_produced_total{partition=\"3\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_problem() {
    let server = Server::start(acknowledging()).await;
    let send = async |content_type: &'static str, body: &str| {
        server.send("/send", content_type, body.to_owned()).await
    };
    let valid = r#"{"id":1,"tipo":"t"}"#;
    let malformed = problem(send("application/json", "{").await, 400).await;
    assert!(
        malformed["detail"].to_string().contains("line 1 column 1"),
        "{malformed}"
    );
    let invalid = problem(send("application/json", r#"{"id":1.5}"#).await, 422).await;
    assert_eq!(invalid["errors"][0]["pointer"], "/id");
    assert_eq!(
        invalid["errors"][1],
        json!({"pointer": "/tipo", "detail": "is missing"})
    );
    let form = problem(send("application/x-www-form-urlencoded", valid).await, 415).await;
    assert!(
        form["detail"]
            .to_string()
            .contains("Content-Type: application/json"),
        "{form}"
    );
    let large = format!(
        r#"{{"id":1,"tipo":"t","x":"{}"}}"#,
        "x".repeat(body::MAX_EVENTO)
    );
    problem(send("application/json", &large).await, 413).await;
    let unknown = server.send("/send?kee=1", "application/json", valid).await;
    let unknown = problem(unknown, 400).await;
    assert_eq!(
        unknown["detail"],
        "unknown query parameter `kee`, expected `key`"
    );
    let untyped = server
        .client
        .post(server.url("/send"))
        .body(valid)
        .send()
        .await;
    problem(untyped.expect("it answers"), 415).await;
}

#[tokio::test]
async fn what_the_broker_does_not_take_is_a_problem() {
    for (error, status, retry) in [
        (ProduceError::QueueFull, 429, "1"),
        (ProduceError::TooLarge, 413, ""),
        (ProduceError::Unavailable("secret".into()), 503, "5"),
        (ProduceError::Refused("secret".into()), 502, ""),
    ] {
        let server = Server::start(move |_, _| Err(error.clone())).await;
        let response = server
            .send("/send", "application/json", r#"{"id":1,"tipo":"t"}"#)
            .await;
        assert_eq!(header(&response, "retry-after"), retry);
        let problem = problem(response, status).await;
        assert!(
            !problem.to_string().contains("secret"),
            "the log has it: {problem}"
        );
    }
}

#[tokio::test]
async fn messages_come_in_pages_that_link_to_the_next() {
    let server = Server::start(acknowledging()).await;
    let empty = server.get("/messages").await;
    assert_eq!(
        (
            header(&empty, "x-total-count"),
            header(&empty, "x-next-cursor")
        ),
        ("0", "-")
    );
    assert_eq!(empty.text().await.expect("text"), "[]");
    let values = [
        r#"{"id":1,"tipo":"a b","x":1.10}"#,
        r#"{"id":"2","tipo":"c"}"#,
        r#"{"id":"1","tipo":"a b"}"#,
    ];
    server.store(5, &values);

    let first = server.get("/messages?tipo=a+b&limit=1").await;
    assert_eq!(header(&first, "x-total-count"), "2");
    assert_eq!(header(&first, "content-type"), "application/json");
    let link = header(&first, "link").to_owned();
    assert_eq!(link, r#"<?tipo=a%20b&limit=1&after=0:6>; rel="next""#);
    assert_eq!(
        first.text().await.expect("text"),
        format!("[{}]", values[0])
    );
    let next = |link: &str| {
        let query = link.split(['<', '>']).nth(1).expect("a reference");
        format!("/messages{query}")
    };
    let second = server.get(&next(&link)).await;
    assert_eq!(
        (header(&second, "link"), header(&second, "x-next-cursor")),
        ("", "0:8")
    );
    assert_eq!(
        second.text().await.expect("text"),
        format!("[{}]", values[2])
    );

    let down = server.get("/messages?order=desc&limit=2").await;
    let link = header(&down, "link").to_owned();
    assert_eq!(
        down.text().await.expect("text"),
        format!("[{},{}]", values[2], values[1])
    );
    let last = server.get(&next(&link)).await;
    assert_eq!(last.text().await.expect("text"), format!("[{}]", values[0]));

    let by_id = server.get("/messages?id=1").await;
    assert_eq!(header(&by_id, "x-total-count"), "2");
    assert_eq!(by_id.json::<Vec<Value>>().await.expect("JSON").len(), 2);
    for junk in [
        "limit=0", "limit=x", "limit=-1", "order=up", "after=x", "since=1",
    ] {
        problem(server.get(&format!("/messages?{junk}")).await, 400).await;
    }
}

#[tokio::test]
async fn a_long_listing_is_streamed_and_ends_where_its_headers_say() {
    let server = Server::start(acknowledging()).await;
    let values: Vec<_> = (0..20_000)
        .map(|i| format!(r#"{{"id":{i},"tipo":"t","x":"{}"}}"#, "x".repeat(50)))
        .collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    server.store(0, &values);
    for (query, range, cursor) in [
        ("limit=15000", 0..15_000, "0:15000"),
        ("limit=20000", 0..20_000, "0:20000"),
        ("limit=999999&after=0:100", 100..20_000, "0:20000"),
    ] {
        let response = server.get(&format!("/messages?{query}")).await;
        assert_eq!(header(&response, "x-next-cursor"), cursor);
        // Appended after the headers were made: not part of this answer.
        server.store(20_000, &[values[0]]);
        let text = response.text().await.expect("text");
        assert!(
            text == format!("[{}]", values[range].join(",")),
            "{query}: {} bytes",
            text.len()
        );
        server.store(20_000, &[]);
        server
            .store
            .append(&[(&batch(20_000, &[values[0]]).0, &[])]);
    }
    let response = server.get("/messages?limit=15000&order=desc").await;
    assert_eq!(header(&response, "x-next-cursor"), "0:5000");
    let down: Vec<Value> = response.json().await.expect("JSON");
    assert_eq!((down.len(), &down[14_999]["id"]), (15_000, &json!(5_000)));
}

#[tokio::test]
async fn the_newest_with_an_id_is_found_whatever_the_id() {
    let server = Server::start(acknowledging()).await;
    let (old, new, odd) = (
        r#"{"id":7,"tipo":"t"}"#,
        r#"{"id":"7","tipo":"t","new":true}"#,
        r#"{"id":"a/b ü","tipo":"t"}"#,
    );
    server.store(0, &[old, odd, new]);
    assert_eq!(
        server.get("/messages/7").await.text().await.expect("text"),
        new
    );
    let found = server.get("/messages/a%2Fb%20%C3%BC").await;
    assert_eq!(found.text().await.expect("text"), odd);
    problem(server.get("/messages/8").await, 404).await;
    problem(server.get("/messages/%ff").await, 404).await;
}

#[tokio::test]
async fn health_readiness_and_wrong_calls() {
    let server = Server::start(acknowledging()).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    let waiting = problem(server.get("/readyz").await, 503).await;
    assert_eq!(waiting["pending"], json!(["group", "handlers"]));
    server.readiness.set("group", true);
    server.readiness.set("handlers", true);
    assert_eq!(server.get("/readyz").await.status(), 200);
    server.store(0, &[r#"{"id":7,"tipo":"t"}"#]);
    for (accept, format) in [
        ("*/*", MetricsFormat::Prometheus),
        (
            "application/openmetrics-text, text/plain;q=0.5",
            MetricsFormat::OpenMetrics,
        ),
    ] {
        let metrics = server
            .client
            .get(server.url("/metrics"))
            .header("accept", accept);
        let metrics = metrics.send().await.expect("it answers");
        assert_eq!(header(&metrics, "content-type"), format.content_type());
        assert_eq!(header(&metrics, "vary"), "accept");
        let text = metrics.text().await.expect("text");
        assert!(text.contains("eventos_store_events 1\n"), "{text}");
        assert_eq!(
            text.ends_with("# EOF\n"),
            format == MetricsFormat::OpenMetrics
        );
    }
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/partitions",
        "/messages/1",
        "/peers/proof",
    ] {
        let unknown = server.get(&format!("{path}?verbose=1")).await;
        let unknown = problem(unknown, 400).await;
        assert_eq!(
            unknown["type"], "urn:eventos:problem:invalid-query",
            "{path}"
        );
    }
    problem(server.get("/nowhere").await, 404).await;
    let wrong = server.get("/send").await;
    assert_eq!(header(&wrong, "allow"), "POST");
    problem(wrong, 405).await;
}

#[tokio::test]
async fn it_stops_when_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let views = Views {
        store: Store::new(&store::Config::default()),
        peers: Peers::new(
            &PeersConfig::default(),
            tokio::sync::watch::channel(Arc::default()).1,
            None,
            0,
            certificates(),
        ),
        metrics: Metrics::new(),
        readiness: Readiness::new([]),
        refusals: Refusals::default(),
        topics: ProducedTopics::default(),
        hold: ChainHold::default(),
        pages: MemoryBudget::of_mib(PAGES_MIB),
    };
    let outbox = Outbox::from_fn(acknowledging(), views.metrics.clone());
    server::serve(
        listener,
        router(outbox, views, Router::new()),
        Limits::new(1),
        certificates(),
        std::future::ready(()),
    )
    .await;
}
