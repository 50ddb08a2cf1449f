//! The librdkafka clients of a producer, which are replaced when they fail, or have to send smaller batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{Producer as _, ProducerContext as RdkafkaContext},
};

use super::{polled::PolledProducer, report::ReportContext};
use crate::kafka::{client::log, detached::Detached, produce_error::ProduceError};

/// Largest size of the batches of a producer, in bytes: librdkafka's default.
pub(super) const MAX_BATCH_SIZE: usize = 1_000_000;

/// Minimum age at which a client that has failed is replaced.
const MIN_CLIENT_AGE: Duration = Duration::from_secs(5);

/// A librdkafka client.
pub(in crate::kafka) struct ProducerClient<C: RdkafkaContext + 'static> {
    inner: Detached<PolledProducer<C>>,
    /// The `batch.size`. A record that is larger than this is sent in a batch of its own.
    pub(super) batch_size: usize,
}

/// The client of a producer. A client with a fatal error is replaced, for example if the broker permitted nothing, or
/// has lost the state of the idempotent producer.
pub(in crate::kafka) struct RenewableClient<C: RdkafkaContext + 'static> {
    properties: ClientConfig,
    context: C,
    current: ArcSwap<ProducerClient<C>>,
    /// When the last attempt to make a client started. Held while it is replaced.
    since: Mutex<Instant>,
}

impl<C: RdkafkaContext + Clone> ProducerClient<C> {
    fn new(properties: &ClientConfig, batch_size: usize, context: &C) -> KafkaResult<Self> {
        let mut properties = properties.clone();
        properties.set("batch.size", batch_size.max(1).to_string());
        Ok(Self {
            inner: Detached::new(properties.create_with_context(context.clone())?),
            batch_size,
        })
    }

    /// Returns the client of rdkafka.
    pub(in crate::kafka) fn inner(&self) -> &PolledProducer<C> {
        &self.inner
    }
}

impl RenewableClient<ReportContext> {
    /// Makes a second client with other properties, whose connections are not reported.
    pub(super) fn sibling(&self, changes: &[(&str, &str)]) -> KafkaResult<Self> {
        let mut properties = self.properties.clone();
        for (name, value) in changes {
            properties.set(*name, *value);
        }
        let context = ReportContext(self.context.0.silent());
        Self::new(&properties, MAX_BATCH_SIZE, context)
    }
}

impl<C: RdkafkaContext + Clone> RenewableClient<C> {
    /// Makes a client with batches of up to this size. A smaller `batch.size` in the properties is kept.
    pub(in crate::kafka) fn new(
        properties: &ClientConfig,
        batch_size: usize,
        context: C,
    ) -> KafkaResult<Self> {
        let batch_size = configured_batch_size(properties)
            .map_or(batch_size, |configured| configured.min(batch_size));
        let client = ProducerClient::new(properties, batch_size, &context)?;
        Ok(Self {
            properties: properties.clone(),
            context,
            current: ArcSwap::from_pointee(client),
            since: Mutex::new(Instant::now()),
        })
    }

    /// Returns the current client.
    pub(in crate::kafka) fn current(&self) -> Arc<ProducerClient<C>> {
        self.current.load_full()
    }

    /// Converts the error of a record. If the client itself has failed, its error explains more than that of the
    /// record.
    pub(super) fn explain(&self, error: KafkaError) -> ProduceError {
        match self.fatal_error() {
            Some((RDKafkaErrorCode::ClusterAuthorizationFailed, _)) => {
                ProduceError::NothingIsPermitted
            }
            Some((_, reason)) => ProduceError::Unavailable(reason),
            None => error.into(),
        }
    }

    /// Makes sure that batches are smaller than those of `used`, one of which was rejected for its size. Returns whether
    /// they were not yet.
    pub(super) fn shrink(&self, used: &ProducerClient<C>) -> bool {
        let since = self.since.lock();
        let is_current = self.current.load().batch_size >= used.batch_size;
        if is_current {
            self.replace(since, used.batch_size / 2);
        }
        is_current
    }

    /// Sends batches of up to this size from now on.
    pub(super) fn set_batch_size(&self, batch_size: usize) {
        let configured = configured_batch_size(&self.properties).unwrap_or(MAX_BATCH_SIZE);
        let batch_size = batch_size.min(MAX_BATCH_SIZE).min(configured);
        let since = self.since.lock();
        if self.current.load().batch_size != batch_size {
            self.replace(since, batch_size);
        }
    }

    /// Returns the fatal error of the client, if it has one, and replaces it. A transactional client is not replaced,
    /// because whoever runs its transactions has to start over.
    fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let current = self.current.load();
        let error = current.inner().client().fatal_error()?;
        let is_transactional = self.properties.get("transactional.id").is_some();
        if !is_transactional
            && let Some(since) = self.since.try_lock()
            && since.elapsed() >= MIN_CLIENT_AGE
        {
            self.replace(since, current.batch_size);
        }
        Some(error)
    }

    fn replace(&self, mut since: parking_lot::MutexGuard<'_, Instant>, batch_size: usize) {
        *since = Instant::now();
        match ProducerClient::new(&self.properties, batch_size, &self.context) {
            // The old one goes when the last of its records is acknowledged.
            Ok(client) => self.current.store(Arc::new(client)),
            Err(error) => tracing::warn!(%error, "cannot replace a producer"),
        }
    }
}

fn configured_batch_size(properties: &ClientConfig) -> Option<usize> {
    properties.get("batch.size")?.parse().ok()
}

/// Whether any broker is connected.
pub(super) struct Connection {
    is_down: AtomicBool,
    /// Held during a call, so that the last call has the current state.
    on_change: Mutex<Box<dyn Fn(bool) + Send>>,
}

impl Connection {
    pub(super) fn new(on_change: impl Fn(bool) + Send + 'static) -> Self {
        Self {
            is_down: AtomicBool::new(false),
            on_change: Mutex::new(Box::new(on_change)),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Relaxed)
    }

    fn set_down(&self, is_down: bool) {
        let on_change = self.on_change.lock();
        if self.is_down.swap(is_down, Relaxed) != is_down {
            on_change(!is_down);
        }
    }

    pub(super) fn report(&self) {
        let on_change = self.on_change.lock();
        on_change(!self.is_down());
    }
}

/// The context of a producer. librdkafka reports the loss of the last broker as an error. Its statistics show when a
/// broker is back, to which it reconnects every second, and the current number of partitions of the topic.
#[derive(Clone)]
pub(in crate::kafka) struct ProducerContext {
    pub(super) connection: Arc<Connection>,
    pub(super) topic: Arc<str>,
    pub(super) partitions: Arc<AtomicI32>,
}

impl ProducerContext {
    pub(super) fn new(topic: &str, on_connection: impl Fn(bool) + Send + 'static) -> Self {
        Self {
            connection: Arc::new(Connection::new(on_connection)),
            topic: topic.into(),
            partitions: Arc::default(),
        }
    }

    /// Returns a context that reports nothing to the owner of this one.
    fn silent(&self) -> Self {
        Self::new(&self.topic, |_| {})
    }
}

impl ClientContext for ProducerContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer error");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.connection.set_down(true);
        }
    }

    fn stats(&self, statistics: Statistics) {
        if statistics
            .brokers
            .values()
            .any(|broker| broker.state == "UP")
        {
            self.connection.set_down(false);
        }
        if let Some(topic) = statistics.topics.get(&*self.topic) {
            let all = topic.partitions.values();
            let known = all.filter(|one| one.partition >= 0 && !one.unknown).count();
            // None at all means that they are not known yet. A topic that is created again may have fewer.
            let known = i32::try_from(known).unwrap_or(i32::MAX);
            if known > 0 {
                self.partitions.store(known, Relaxed);
            }
        }
    }
}
