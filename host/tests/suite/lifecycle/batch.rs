//! A large `POST /send/batch` whose answers are read while it is still being sent.

use std::convert::Infallible;

use eventos_testkit::{DEADLINE, Daemon, read_topic};
use futures_util::stream;
use serde_json::Value;

use super::ids_by_place;

/// How many Eventos a batch has, and how many to a piece of the body.
const COUNT: usize = 100_000;
const PIECE: usize = 100;

/// Where the broker has put each Evento of a batch, as far as the answer told: partition and offset.
pub struct Acknowledged(Vec<(i32, i64)>);

/// Sends 100,000 Eventos of this tipo without a pause. Once so many answers were read, calls `then`, and reads on
/// to the end of the answer, be it whole or cut off.
pub fn send_batch(
    daemon: &Daemon,
    tipo: &str,
    answers: usize,
    then: impl FnOnce(),
) -> Acknowledged {
    let tipo = tipo.to_owned();
    let piece = move |first: usize| {
        let evento = |i| format!("{{\"id\":\"{i}\",\"tipo\":\"{tipo}\",\"pad\":\"{i:032}\"}}\n");
        (first..first + PIECE).map(evento).collect::<String>()
    };
    let pieces = (0..COUNT).step_by(PIECE).map(piece);
    let body = stream::iter(pieces.map(Ok::<_, Infallible>));
    let url = daemon.url("/send/batch");
    let exchange = async {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/x-ndjson")
            .body(reqwest::Body::wrap_stream(body));
        let mut answer = request.send().await.expect("answered");
        assert_eq!(answer.status(), 200);
        let mut acknowledged = Acknowledged(Vec::new());
        let (mut rest, mut then) = (Vec::new(), Some(then));
        while let Ok(Some(piece)) = answer.chunk().await {
            rest.extend_from_slice(&piece);
            acknowledged.take_lines(&mut rest);
            if acknowledged.len() >= answers
                && let Some(then) = then.take()
            {
                then();
            }
        }
        assert!(then.is_none(), "only {} answers came", acknowledged.len());
        acknowledged
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let exchange = runtime.block_on(async { tokio::time::timeout(DEADLINE, exchange).await });
    exchange.expect("in time")
}

impl Acknowledged {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the answer came to its end.
    pub fn is_whole(&self) -> bool {
        self.len() == COUNT
    }

    /// Takes every whole line: each tells of the next Evento, in order.
    fn take_lines(&mut self, text: &mut Vec<u8>) {
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in text.drain(..whole).as_slice().split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let line: Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!(line["status"], "message sent", "{line}");
            assert_eq!(line["index"], self.0.len(), "{line}");
            let partition = line["partition"].as_i64().and_then(|p| p.try_into().ok());
            let place = (partition, line["offset"].as_i64());
            self.0
                .push((place.0.expect("a number"), place.1.expect("a number")));
        }
    }

    /// Every one of them is in the topic where it was said to be, and nothing is there twice,
    /// whether it was acknowledged or not.
    pub fn assert_in_topic_once(&self, servers: &str, topic: &str) {
        let there = ids_by_place(&read_topic(servers, topic));
        for (i, place) in self.0.iter().enumerate() {
            let id = there.get(place).map(String::as_str);
            assert_eq!(id, Some(i.to_string().as_str()), "at {place:?}");
        }
        assert!(there.len() <= COUNT, "{}", there.len());
    }
}
