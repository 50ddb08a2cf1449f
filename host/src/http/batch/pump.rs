//! From the body to the broker and back: in order, with a bounded number on their way.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};

use tokio::sync::oneshot;

use super::{Item, answers::Writer, array, body, lines};
use crate::{
    event::EventoRef,
    http::{
        outbox::{Acknowledgement, Outbox},
        problem::Problem,
    },
    kafka::Delivered,
};

/// How many Eventos of one request may wait for the broker's acknowledgement.
pub(super) const IN_FLIGHT: usize = 1024;

/// What becomes of one item.
#[derive(Debug)]
pub(super) enum Answer {
    /// The broker has it.
    Sent(Delivered),
    /// It was not sent, or not acknowledged; the others go on.
    Refused(Problem),
    /// From here on nothing was sent.
    Stopped(Problem),
}

/// Sends every Evento of a body, and writes the answers in the order of the Eventos. It ends
/// early, and the answer with it, when the client goes away.
pub(super) async fn run(
    chunks: BoxStream<'static, io::Result<Bytes>>,
    outbox: Outbox,
    writer: Writer,
) {
    let outbox = Arc::new(outbox);
    match peek(chunks).await {
        (Some(b'['), chunks) => pump(array::items(chunks), outbox, writer).await,
        (_, chunks) => pump(lines::items(chunks), outbox, writer).await,
    }
}

async fn pump(
    items: impl Stream<Item = io::Result<Item>>,
    outbox: Arc<Outbox>,
    mut writer: Writer,
) {
    // A body that breaks off has nobody who waits for the answers that are still to come.
    let (broke_off, mut gone) = oneshot::channel();
    let items = items.scan(Some(broke_off), |broke_off, item| {
        let tell = |error| broke_off.take().map(|broke_off| broke_off.send(error));
        future::ready(item.map_err(tell).ok())
    });
    // `then` takes one item after the other, so they are queued in their order; `buffered` waits
    // for many acknowledgements at once, and hands them out in order too.
    let started = items.then(move |item| start(item, Arc::clone(&outbox)));
    let mut answers = std::pin::pin!(started.buffered(IN_FLIGHT));
    let mut log = Some(());
    loop {
        let answer = tokio::select! {
            biased;
            Ok(error) = &mut gone => return given_up(&error),
            answer = answers.next() => answer,
        };
        let Some(answer) = answer else {
            return writer.finish();
        };
        if let Answer::Refused(problem) = &answer
            && problem.has_cause()
            && log.take().is_some()
        {
            // The others of this request are most likely the same.
            problem.log();
        }
        if let Err(error) = writer.push(answer).await {
            return given_up(&error);
        }
    }
}

fn given_up(error: &io::Error) {
    tracing::debug!(%error, "a batch ended early");
}

/// Queues an item, and answers with the future of its answer.
async fn start(item: Item, outbox: Arc<Outbox>) -> BoxFuture<'static, Answer> {
    match queue(item, &outbox).await {
        Err(answer) => future::ready(answer).boxed(),
        Ok(acknowledgement) => async move {
            match outbox.acknowledged(acknowledgement).await {
                Ok(delivered) => Answer::Sent(delivered),
                Err(error) => Answer::Refused(error.into()),
            }
        }
        .boxed(),
    }
}

/// Queues an item, or answers at once why not.
async fn queue(item: Item, outbox: &Outbox) -> Result<Acknowledgement, Answer> {
    let text = match item {
        Item::Text(text) => text,
        Item::TooLong => return Err(Answer::Refused(body::too_large())),
        Item::Broken(problem) => return Err(Answer::Stopped(problem)),
    };
    EventoRef::parse(&text).map_err(|reason| Answer::Refused(reason.into()))?;
    let queued = outbox.enqueue_patiently(&text).await;
    queued.map_err(|error| Answer::Refused(error.into()))
}

/// The first byte that is not white space, and the body from there on.
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
