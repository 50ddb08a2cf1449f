//! A record that is being produced, and is sent again if it was rejected only because of the batch that it was in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use rdkafka::{
    Message as _,
    error::KafkaError,
    message::{Headers, OwnedMessage},
    producer::FutureRecord,
};

use super::{
    Clients, PendingReport, SharedClient,
    record::{BATCH_OVERHEAD, RECORD_OVERHEAD},
};
use crate::{
    event::{Offset, Partition},
    kafka::produce_error::ProduceError,
};

/// The position of a record that was produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record in its partition.
    pub offset: Offset,
}

/// A record that is being produced. The future returns when the broker has acknowledged it, or rejects this very record.
pub struct Delivery {
    report: PendingReport,
    clients: Arc<Clients>,
    sent: SentIn,
    /// librdkafka does not return the timestamp of a record that it could not deliver.
    timestamp: Option<i64>,
}

/// The batch that a record was sent in.
enum SentIn {
    /// A batch that this client may have filled with other records.
    Shared(Arc<SharedClient>),
    /// A batch of its own.
    OwnBatch,
}

impl Delivery {
    pub(super) fn new(
        report: PendingReport,
        client: Arc<SharedClient>,
        clients: Arc<Clients>,
        timestamp: Option<i64>,
    ) -> Self {
        Self {
            report,
            clients,
            sent: SentIn::Shared(client),
            timestamp,
        }
    }

    /// Sends a record again that was rejected, unless the error is about this very record.
    fn send_again(&mut self, error: KafkaError, record: &OwnedMessage) -> Result<(), ProduceError> {
        let SentIn::Shared(client) = &self.sent else {
            return Err(self.clients.of_own_batches()?.explain(error));
        };
        match self.clients.shared.explain(error) {
            // It was in a batch of its own, too.
            ProduceError::TooLarge if size(record) > client.batch_size => {
                Err(ProduceError::TooLarge)
            }
            ProduceError::TooLarge => {
                self.clients.shrink(client);
                let sent = self.clients.shared.send(to_send(record, self.timestamp))?;
                self.report = sent.0;
                self.sent = SentIn::Shared(sent.1);
                Ok(())
            }
            ProduceError::Refused(_)
            | ProduceError::Excluded(_)
            | ProduceError::OtherRecordRefused => {
                let alone = self.clients.of_own_batches()?;
                (self.report, _) = alone.send(to_send(record, self.timestamp))?;
                self.sent = SentIn::OwnBatch;
                Ok(())
            }
            error => Err(error),
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(Pin::new(&mut self.report).poll(context)) {
                Ok(Ok(delivered)) => return Poll::Ready(Ok(delivered)),
                Ok(Err((error, record))) => {
                    if let Err(error) = self.send_again(error, &record) {
                        return Poll::Ready(Err(error));
                    }
                }
                Err(_) => return Poll::Ready(Err(closed())),
            }
        }
    }
}

/// The error of a record whose client is gone.
fn closed() -> ProduceError {
    ProduceError::Unavailable("the producer was closed".to_owned())
}

/// Returns about how many bytes the batch of a record takes that is alone in it.
fn size(record: &OwnedMessage) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers = record.headers().into_iter().flat_map(Headers::iter);
    let headers: usize = headers
        .map(|header| header.key.len() + length(header.value))
        .sum();
    BATCH_OVERHEAD + RECORD_OVERHEAD + length(record.key()) + length(record.payload()) + headers
}

fn to_send(record: &OwnedMessage, timestamp: Option<i64>) -> FutureRecord<'_, [u8], [u8]> {
    FutureRecord {
        topic: record.topic(),
        // The same partition again, so that records with the same timestamp stay together.
        partition: Some(record.partition()).filter(|partition| *partition >= 0),
        payload: record.payload(),
        key: record.key(),
        timestamp,
        headers: record.headers().cloned(),
    }
}
