//! Producing the Eventos that come in over HTTP.

use std::{sync::Arc, time::Duration};

use super::{problem::Problem, refusal_log::RefusalLog};
use crate::{
    event::{EventoLimits, EventoRef, NotAnEvento},
    kafka::{Delivered, Delivery, Permission, ProduceError, Producer, Refusals},
    telemetry::metrics::Metrics,
};

/// How long to wait before a full queue is tried again: long enough for some of it to be sent.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Hands Eventos to the producer, and counts those that the broker acknowledges. Cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox {
    sink: Sink,
    topic: Arc<str>,
    limits: EventoLimits,
    metrics: Metrics,
    refusals: Refusals,
    log: Arc<RefusalLog>,
}

/// What an outbox hands Eventos to.
#[derive(Clone)]
enum Sink {
    Producer(Producer),
    /// A function, for tests without a broker.
    #[cfg(test)]
    Function(Arc<test_sink::Enqueue>),
}

/// An Evento that is queued. [`Outbox::acknowledged`] waits for the broker.
pub(super) enum Queued {
    ByProducer(Delivery),
    #[cfg(test)]
    ByFunction(test_sink::Delivery),
}

impl Outbox {
    /// Returns an outbox for the topic of the producer, and for Eventos within these limits.
    pub(super) fn new(
        producer: Producer,
        limits: EventoLimits,
        metrics: Metrics,
        refusals: Refusals,
    ) -> Self {
        Self {
            topic: Arc::clone(producer.topic()),
            sink: Sink::Producer(producer),
            limits,
            metrics,
            refusals,
            log: Arc::default(),
        }
    }

    /// Returns the problem of an Evento that is refused, after it was counted and, within limits, logged.
    pub(super) fn refuse(&self, problem: impl Into<Problem>) -> Problem {
        let mut problem = problem.into();
        self.metrics.send_refused(problem.word());
        self.log.note(&mut problem);
        problem
    }

    /// Checks that a text is an Evento within the limits.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, text: &[u8]) -> Result<(), NotAnEvento> {
        EventoRef::parse_within(&self.limits, text).map(drop)
    }

    /// Queues an Evento for the broker.
    ///
    /// # Errors
    /// If it cannot be queued, such as [`ProduceError::QueueFull`].
    pub(super) fn enqueue(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Queued, ProduceError> {
        let queued = match &self.sink {
            Sink::Producer(producer) => producer.enqueue(key, value).map(Queued::ByProducer),
            #[cfg(test)]
            Sink::Function(enqueue) => enqueue(key, value).map(Queued::ByFunction),
        };
        queued.inspect_err(|error| self.note_refusal(error))
    }

    /// Queues an Evento without a key for the broker, as soon as the queue has room.
    ///
    /// # Errors
    /// If it cannot be queued for another reason.
    pub(super) async fn enqueue_when_possible(&self, value: &[u8]) -> Result<Queued, ProduceError> {
        loop {
            match self.enqueue(None, value) {
                Err(ProduceError::QueueFull) => tokio::time::sleep(QUEUE_FULL_PAUSE).await,
                result => return result,
            }
        }
    }

    /// Waits until the broker has acknowledged an Evento.
    ///
    /// # Errors
    /// If it does not. The Evento may have arrived even so.
    pub(super) async fn acknowledged(&self, queued: Queued) -> Result<Delivered, ProduceError> {
        let delivered = match queued {
            Queued::ByProducer(delivery) => delivery.await,
            #[cfg(test)]
            Queued::ByFunction(delivery) => delivery.await,
        };
        let delivered = delivered.inspect_err(|error| self.note_refusal(error))?;
        if self.refusals.are_there_any() {
            self.refusals.granted(&Permission::Produce);
            self.refusals
                .granted(&Permission::Write(self.topic.to_string()));
        }
        self.metrics.produced(delivered.partition, 1);
        Ok(delivered)
    }

    fn note_refusal(&self, error: &ProduceError) {
        let consequence = "Eventos sent over HTTP are refused until then";
        if let Some(permission) = error.permission(&self.topic) {
            self.refusals.refused(permission, consequence);
        }
    }
}

#[cfg(test)]
pub(super) mod test_sink {
    use futures_util::future::BoxFuture;

    use super::*;

    /// What a function returns in place of [`crate::kafka::Delivery`].
    pub(crate) type Delivery = BoxFuture<'static, Result<Delivered, ProduceError>>;

    pub(crate) type Enqueue =
        dyn Fn(Option<&[u8]>, &[u8]) -> Result<Delivery, ProduceError> + Send + Sync;

    impl Outbox {
        /// Returns an outbox that hands Eventos to a function.
        pub(crate) fn from_fn(
            enqueue: impl Fn(Option<&[u8]>, &[u8]) -> Result<Delivery, ProduceError>
            + Send
            + Sync
            + 'static,
            metrics: Metrics,
        ) -> Self {
            Self {
                sink: Sink::Function(Arc::new(enqueue)),
                topic: "eventos".into(),
                limits: EventoLimits::default(),
                metrics,
                refusals: Refusals::default(),
                log: Arc::default(),
            }
        }
    }
}
