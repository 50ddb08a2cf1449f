//! Sends the items of a body to the broker, in order and with a bounded number in flight.

use std::{io, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt, future,
    stream::{self, BoxStream},
};
use tokio::sync::oneshot;

use super::{Item, body, json_array, ndjson, results::ResultWriter};
use crate::{
    event::BYTE_ORDER_MARK,
    http::{
        outbox::{Outbox, Queued},
        problem::Problem,
    },
    kafka::{Delivered, ProduceError},
};

/// How many Eventos of one request may wait for the acknowledgement of the broker.
pub(super) const MAX_IN_FLIGHT: usize = 1024;

/// The result of one item.
#[derive(Debug)]
pub(super) enum SendResult {
    /// The broker acknowledged the Evento.
    Sent(Delivered),
    /// The item itself is to blame. The items after it are sent nevertheless.
    Refused(Problem),
    /// The body is malformed: nothing from here on was sent.
    Stopped(Problem),
}

/// The broker failed, whatever the item.
type BrokerFailure = Problem;

/// Sends all Eventos of a body, and writes the results in the same order. The body is an array if it `may_be_array` and
/// begins like one, and NDJSON otherwise. It ends early, and cuts the response off, if
/// the broker fails, the body breaks off, or the client does not read.
pub(super) async fn run(
    chunks: BoxStream<'static, io::Result<Bytes>>,
    may_be_array: bool,
    outbox: Outbox,
    writer: ResultWriter,
) {
    let outbox = Arc::new(outbox);
    if !may_be_array {
        return pump(ndjson::items(chunks), outbox, writer).await;
    }
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
    // If the body breaks off, do not wait for the results that are still missing.
    let (broke_off, mut gone) = oneshot::channel();
    let items = items.scan(Some(broke_off), |broke_off, item| {
        let report = |error| broke_off.take().map(|broke_off| broke_off.send(error));
        future::ready(item.map_err(report).ok())
    });
    // `then` takes one item after the other, so they are queued in order. `buffered` waits for many acknowledgements at
    // once, and yields their results in order too.
    let started = items.then(move |item| start(item, Arc::clone(&outbox)));
    let mut results = std::pin::pin!(started.buffered(MAX_IN_FLIGHT));
    loop {
        let result = tokio::select! {
            biased;
            Ok(error) = &mut gone => return break_off(writer, &error),
            result = results.next() => result,
        };
        let result = match result {
            Some(Ok(result)) => result,
            Some(Err(failure)) => return writer.cut_off(failure),
            // The body may have broken off while the last result was taken.
            None => match gone.try_recv() {
                Ok(error) => return break_off(writer, &error),
                Err(_) => return writer.finish(),
            },
        };
        if let Err(error) = writer.push(result).await {
            tracing::debug!(%error, "a batch ended early");
            return;
        }
    }
}

/// Ends a batch whose body broke off.
fn break_off(writer: ResultWriter, error: &io::Error) {
    tracing::debug!(%error, "the body of a batch broke off");
    writer.cut_off(body::unreadable(error));
}

/// Queues an item, and returns a future of its result.
async fn start(
    item: Item,
    outbox: Arc<Outbox>,
) -> impl Future<Output = Result<SendResult, BrokerFailure>> {
    let queued = queue(item, &outbox).await;
    async move {
        let queued = match queued {
            Ok(queued) => queued,
            Err(result) => return result,
        };
        let delivered = outbox.acknowledged(queued).await;
        delivered.map_or_else(
            |error| not_produced(&outbox, error),
            |at| Ok(SendResult::Sent(at)),
        )
    }
}

/// Queues an item. The error is the result of one that cannot be queued.
async fn queue(item: Item, outbox: &Outbox) -> Result<Queued, Result<SendResult, BrokerFailure>> {
    let refused = |problem: Problem| Ok(SendResult::Refused(outbox.refuse(problem)));
    let text = match item {
        Item::Text(text) => text,
        Item::TooLong => return Err(refused(body::too_large())),
        Item::Broken(problem) => return Err(Ok(SendResult::Stopped(outbox.refuse(problem)))),
    };
    let checked = outbox.check(&text);
    checked.map_err(|reason| refused(reason.into()))?;
    let queued = outbox.enqueue_when_possible(&text).await;
    queued.map_err(|error| not_produced(outbox, error))
}

/// Returns the result of an Evento that was not produced.
fn not_produced(outbox: &Outbox, error: ProduceError) -> Result<SendResult, BrokerFailure> {
    let is_about_the_record = error.is_about_the_record();
    let problem = outbox.refuse(error);
    match is_about_the_record {
        true => Ok(SendResult::Refused(problem)),
        false => Err(problem),
    }
}

/// Returns the first byte that is neither white space nor part of a byte order mark, and the body from there on.
async fn peek(
    mut chunks: BoxStream<'static, io::Result<Bytes>>,
) -> (Option<u8>, BoxStream<'static, io::Result<Bytes>>) {
    let mut start = BytesMut::new();
    let end = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => start.extend_from_slice(&chunk),
            end => break end,
        }
        skip_blank(&mut start);
        if start.starts_with(BYTE_ORDER_MARK) {
            start.advance(BYTE_ORDER_MARK.len());
            skip_blank(&mut start);
        }
        if !BYTE_ORDER_MARK.starts_with(&start) {
            break None;
        }
    };
    let first = start.first().copied();
    let start = stream::iter([Ok(start.freeze())]);
    (first, start.chain(stream::iter(end)).chain(chunks).boxed())
}

fn skip_blank(text: &mut BytesMut) {
    text.advance(text.len() - text.trim_ascii_start().len());
}
