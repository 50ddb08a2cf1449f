//! The least that a server with `/send` and `/send/batch` can do: axum, a check that the body is an Evento, and a
//! `FutureProducer` of rdkafka whose acknowledgement it awaits.

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use eventos_testkit::measure::part::runtime;
use futures_util::future::join_all;
use rdkafka::producer::{FutureProducer, FutureRecord, future_producer::Delivery};
use serde::Deserialize;
use tokio::{net::TcpListener, task::spawn_blocking};

use crate::load::client;

/// What the server sends with.
struct Target {
    producer: FutureProducer,
    topic: String,
}

/// What has to be in an Evento.
#[derive(Deserialize)]
struct Evento {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "tipo")]
    _tipo: String,
}

/// Prints the address of the server, and serves until standard input ends.
pub(crate) fn serve(servers: &str, topic: &str, linger_ms: &str) {
    let producer = client(servers)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .create();
    let target = Arc::new(Target {
        producer: producer.expect("a producer"),
        topic: topic.to_owned(),
    });
    let routes = Router::new()
        .route("/send", post(send))
        .route("/send/batch", post(send_batch))
        .with_state(target);
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, routes).await.expect("it serves") });
        let parent_gone = spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
        let _ = parent_gone.await;
    });
}

async fn send(State(target): State<Arc<Target>>, body: Bytes) -> Response {
    if serde_json::from_slice::<Evento>(&body).is_err() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    match target.produce(&body).await {
        Some(delivery) => {
            let evento = str::from_utf8(&body).expect("it was parsed");
            let (partition, offset) = (delivery.partition, delivery.offset);
            let json = format!(
                r#"{{"status":"message sent","evento":{evento},"partition":{partition},"offset":{offset}}}"#
            );
            ([("content-type", "application/json")], json).into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn send_batch(State(target): State<Arc<Target>>, body: Bytes) -> Response {
    let lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
    if lines
        .iter()
        .any(|line| serde_json::from_slice::<Evento>(line).is_err())
    {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let deliveries = join_all(lines.iter().map(|line| target.produce(line))).await;
    let mut answer = String::new();
    for (index, delivery) in deliveries.into_iter().enumerate() {
        let Some(Delivery {
            partition, offset, ..
        }) = delivery
        else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        answer += &format!(
            "{{\"status\":\"message sent\",\"index\":{index},\"partition\":{partition},\"offset\":{offset}}}\n"
        );
    }
    ([("content-type", "application/x-ndjson")], answer).into_response()
}

impl Target {
    /// Sends a record and waits until the broker has acknowledged it.
    async fn produce(&self, value: &[u8]) -> Option<Delivery> {
        let record = FutureRecord::<(), _>::to(&self.topic).payload(value);
        let queued = self.producer.send_result(record).ok()?;
        queued.await.ok()?.ok()
    }
}
