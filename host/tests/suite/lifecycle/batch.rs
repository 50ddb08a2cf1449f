//! A large `POST /send/batch` whose answer is read while the request is still being sent.

use std::convert::Infallible;

use eventos_testkit::{DEADLINE, Daemon, async_client, read_topic};
use futures_util::stream;
use serde_json::Value;

use super::ids_by_position;

/// Number of Eventos in a batch.
const COUNT: usize = 100_000;

/// Number of Eventos in each chunk of the body.
const CHUNK: usize = 100;

/// Partition and offset of each Evento of a batch, as far as the answer was read.
pub(super) struct Acknowledged(Vec<(i32, i64)>);

/// Sends 100,000 Eventos of this tipo without a pause. Calls `then` once `lines` lines of the answer were read, and reads the
/// answer to its end, complete or not.
pub(super) fn send_batch(
    daemon: &Daemon,
    tipo: &str,
    lines: usize,
    then: impl FnOnce(),
) -> Acknowledged {
    let tipo = tipo.to_owned();
    let chunk = move |first: usize| {
        let evento = |i| format!("{{\"id\":\"{i}\",\"tipo\":\"{tipo}\",\"pad\":\"{i:032}\"}}\n");
        (first..first + CHUNK).map(evento).collect::<String>()
    };
    let chunks = (0..COUNT).step_by(CHUNK).map(chunk);
    let body = stream::iter(chunks.map(Ok::<_, Infallible>));
    let url = daemon.url("/send/batch");
    let exchange = async {
        let request = async_client()
            .post(url)
            .header("content-type", "application/x-ndjson")
            .body(reqwest::Body::wrap_stream(body));
        let mut answer = request.send().await.expect("the daemon answers");
        assert_eq!(answer.status(), 200);
        let mut acknowledged = Acknowledged(Vec::new());
        let (mut rest, mut then) = (Vec::new(), Some(then));
        while let Ok(Some(chunk)) = answer.chunk().await {
            rest.extend_from_slice(&chunk);
            acknowledged.take_lines(&mut rest);
            if acknowledged.len() >= lines
                && let Some(then) = then.take()
            {
                then();
            }
        }
        assert!(
            then.is_none(),
            "only {} lines were read",
            acknowledged.len()
        );
        acknowledged
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let exchange = runtime.block_on(async { tokio::time::timeout(DEADLINE, exchange).await });
    exchange.expect("an answer in time")
}

impl Acknowledged {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether every Evento was acknowledged.
    pub(super) fn is_complete(&self) -> bool {
        self.len() == COUNT
    }

    /// Takes the complete lines from the text. Each is about the next Evento, in order.
    fn take_lines(&mut self, text: &mut Vec<u8>) {
        let complete = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in text
            .drain(..complete)
            .as_slice()
            .split(|&byte| byte == b'\n')
        {
            if line.is_empty() {
                continue;
            }
            let line: Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!(line["status"], "message sent", "{line}");
            assert_eq!(line["index"], self.0.len(), "{line}");
            let partition = line["partition"].as_i64().and_then(|p| p.try_into().ok());
            let offset = line["offset"].as_i64();
            self.0
                .push((partition.expect("a number"), offset.expect("a number")));
        }
    }

    /// Checks that the topic has each acknowledged Evento at its position, and that no Evento is there twice, acknowledged or not.
    pub(super) fn assert_in_topic_once(&self, servers: &str, topic: &str) {
        let there = ids_by_position(&read_topic(servers, topic));
        for (i, position) in self.0.iter().enumerate() {
            let id = there.get(position).map(String::as_str);
            assert_eq!(id, Some(i.to_string().as_str()), "at {position:?}");
        }
        assert!(there.len() <= COUNT, "{}", there.len());
    }
}
