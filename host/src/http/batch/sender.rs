//! Sends the items of a body to the broker, in order and with a bounded number in flight.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt, future,
    stream::{self, BoxStream},
};
use tokio::sync::oneshot;

use super::{Item, body, json_array, ndjson, results::ResultWriter};
use crate::{
    event::EventoRef,
    http::{
        outbox::{Outbox, Queued},
        problem::Problem,
    },
    kafka::Delivered,
};

/// How many Eventos of one request may wait for the acknowledgement of the broker.
pub(super) const MAX_IN_FLIGHT: usize = 1024;

/// The result of one item.
#[derive(Debug)]
pub(super) enum SendResult {
    /// The broker acknowledged the Evento.
    Sent(Delivered),
    /// The item was not sent, or not acknowledged. The items after it are sent nevertheless.
    Refused(Problem),
    /// The body is malformed: nothing from here on was sent.
    Stopped(Problem),
}

/// Sends all Eventos of a body, and writes the results in the same order. It ends early, and cuts the response off, if
/// the client disconnects or does not read.
pub(super) async fn run(
    chunks: BoxStream<'static, io::Result<Bytes>>,
    outbox: Outbox,
    writer: ResultWriter,
) {
    let outbox = Arc::new(outbox);
    match peek(chunks).await {
        (Some(b'['), chunks) => pump(json_array::items(chunks), outbox, writer).await,
        (_, chunks) => pump(ndjson::items(chunks), outbox, writer).await,
    }
}

async fn pump(
    items: impl Stream<Item = io::Result<Item>>,
    outbox: Arc<Outbox>,
    mut writer: ResultWriter,
) {
    // If the body breaks off, the client is gone: do not wait for the results that are still missing.
    let (broke_off, mut gone) = oneshot::channel();
    let items = items.scan(Some(broke_off), |broke_off, item| {
        let report = |error| broke_off.take().map(|broke_off| broke_off.send(error));
        future::ready(item.map_err(report).ok())
    });
    // `then` takes one item after the other, so they are queued in order. `buffered` waits for many acknowledgements at
    // once, and yields their results in order too.
    let started = items.then(move |item| start(item, Arc::clone(&outbox)));
    let mut results = std::pin::pin!(started.buffered(MAX_IN_FLIGHT));
    let mut log = Some(());
    loop {
        let result = tokio::select! {
            biased;
            Ok(error) = &mut gone => return log_end(&error),
            result = results.next() => result,
        };
        let Some(result) = result else {
            return writer.finish();
        };
        if let SendResult::Refused(problem) = &result
            && problem.has_cause()
            && log.take().is_some()
        {
            // Once per request: the causes of the others are most likely the same.
            problem.log();
        }
        if let Err(error) = writer.push(result).await {
            return log_end(&error);
        }
    }
}

fn log_end(error: &io::Error) {
    tracing::debug!(%error, "a batch ended early");
}

/// Queues an item, and returns a future of its result.
async fn start(item: Item, outbox: Arc<Outbox>) -> impl Future<Output = SendResult> {
    let queued = queue(item, &outbox).await;
    async move {
        match queued {
            Ok(queued) => match outbox.acknowledged(queued).await {
                Ok(delivered) => SendResult::Sent(delivered),
                Err(error) => SendResult::Refused(error.into()),
            },
            Err(result) => result,
        }
    }
}

/// Queues an item. The error is the result of one that cannot be queued.
async fn queue(item: Item, outbox: &Outbox) -> Result<Queued, SendResult> {
    let text = match item {
        Item::Text(text) => text,
        Item::TooLong => return Err(SendResult::Refused(body::too_large())),
        Item::Broken(problem) => return Err(SendResult::Stopped(problem)),
    };
    EventoRef::parse(&text).map_err(|reason| SendResult::Refused(reason.into()))?;
    let queued = outbox.enqueue_when_possible(&text).await;
    queued.map_err(|error| SendResult::Refused(error.into()))
}

/// Returns the first byte that is not white space, and the body from there on.
async fn peek(
    mut chunks: BoxStream<'static, io::Result<Bytes>>,
) -> (Option<u8>, BoxStream<'static, io::Result<Bytes>>) {
    while let Some(chunk) = chunks.next().await {
        let rest = chunk.map(|chunk| chunk.slice_ref(chunk.trim_ascii_start()));
        match &rest {
            Ok(rest) if rest.is_empty() => {}
            _ => {
                let first = rest.as_ref().ok().map(|rest| rest[0]);
                return (first, stream::iter([rest]).chain(chunks).boxed());
            }
        }
    }
    (None, chunks)
}
