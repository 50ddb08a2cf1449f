//! The way out for Eventos that came in over HTTP.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    kafka::{Delivered, Permission, ProduceError, Producer, Refusals},
    telemetry::metrics::Metrics,
};

/// The broker's answer to one Evento.
pub(super) type Acknowledgement = BoxFuture<'static, Result<Delivered, ProduceError>>;

/// How long to wait before a full queue is tried again: long enough for some of it to be sent.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

type Enqueue = dyn Fn(Option<&[u8]>, &[u8]) -> Result<Acknowledgement, ProduceError> + Send + Sync;

/// Puts Eventos on their way, and counts what was acknowledged.
#[derive(Clone)]
pub(super) struct Outbox {
    enqueue: Arc<Enqueue>,
    topic: Arc<str>,
    metrics: Metrics,
    refusals: Refusals,
}

impl Outbox {
    pub(super) fn new(producer: Producer, metrics: Metrics, refusals: Refusals) -> Self {
        let topic = Arc::clone(producer.topic());
        let enqueue = move |key: Option<&[u8]>, value: &[u8]| {
            producer.enqueue(key, value).map(FutureExt::boxed)
        };
        Self {
            topic,
            refusals,
            ..Self::from_fn(enqueue, metrics)
        }
    }

    /// One that hands Eventos to a function: for tests, which have no broker.
    pub(super) fn from_fn(
        enqueue: impl Fn(Option<&[u8]>, &[u8]) -> Result<Acknowledgement, ProduceError>
        + Send
        + Sync
        + 'static,
        metrics: Metrics,
    ) -> Self {
        Self {
            enqueue: Arc::new(enqueue),
            topic: "eventos".into(),
            metrics,
            refusals: Refusals::default(),
        }
    }

    /// Queues at once, or fails.
    pub(super) fn enqueue(
        &self,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Acknowledgement, ProduceError> {
        (self.enqueue)(key, value).inspect_err(|error| self.note(error))
    }

    /// Queues as soon as there is room in the queue.
    pub(super) async fn enqueue_patiently(
        &self,
        value: &[u8],
    ) -> Result<Acknowledgement, ProduceError> {
        loop {
            match self.enqueue(None, value) {
                Err(ProduceError::QueueFull) => tokio::time::sleep(QUEUE_PAUSE).await,
                done => return done,
            }
        }
    }

    /// Waits for the broker's answer.
    pub(super) async fn acknowledged(
        &self,
        acknowledgement: Acknowledgement,
    ) -> Result<Delivered, ProduceError> {
        let delivered = acknowledgement
            .await
            .inspect_err(|error| self.note(error))?;
        if self.refusals.are_there_any() {
            self.refusals.granted(&Permission::Produce);
            self.refusals
                .granted(&Permission::Write(self.topic.to_string()));
        }
        self.metrics.produced(delivered.partition, 1);
        Ok(delivered)
    }

    fn note(&self, error: &ProduceError) {
        let and_so = "what is sent over HTTP is refused until then";
        if let Some(permission) = error.permission(&self.topic) {
            self.refusals.refused(permission, and_so);
        }
    }
}
