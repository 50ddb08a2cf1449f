//! Producing records. The result of each is the acknowledgement of the broker.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering::Relaxed},
    },
    task::{self, Poll},
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{Cluster, Error, client::log, native::HeaderList, permissions::Permission};
use crate::event::{Header, Offset, Partition, RecordRef, Timestamp};

/// Properties of a producer. It is idempotent, so that a retried request does not duplicate records, and has the
/// partitioner of Kafka's own clients, so that a key gets the same partition from all of them.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "15000"),
    // The broker and the topic limit the size of a record.
    ("message.max.bytes", "1000000000"),
    ("linger.ms", "1"),
    ("statistics.interval.ms", "1000"),
];

/// Time during which all records without a key go to the same partition, so that they fill few large batches.
/// librdkafka calls this sticky partitioning, with the same default.
const STICKY_MS: i64 = 10;

/// Minimum age at which a client that has failed is replaced.
const MIN_CLIENT_AGE: Duration = Duration::from_secs(5);

/// Produces to any topic. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Producer {
    client: Arc<RenewableClient>,
    topic: Arc<str>,
    /// Number of partitions of the topic of Eventos, or 0 until it is known.
    partitions: Arc<AtomicI32>,
    /// Timestamp of the last record.
    clock: Arc<AtomicI64>,
    connection: Arc<Connection>,
}

impl Producer {
    /// Makes a producer whose [`Producer::enqueue`] produces to the topic of Eventos. It connects in the background.
    /// `on_connection` is called with `false` when the connection to the last broker is lost, and with `true` when one
    /// is back.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(
        cluster: &Cluster,
        on_connection: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::with(&cluster.properties(DEFAULTS), cluster, on_connection)
    }

    /// Makes a producer that retries a record until the broker acknowledges it, however long that takes. Later records
    /// stay behind it.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn patient(cluster: &Cluster) -> Result<Self, Error> {
        let mut properties = cluster.properties(DEFAULTS);
        // 0 disables the timeout. This overrides [kafka.properties], where the timeout is set for HTTP requests.
        properties.set("message.timeout.ms", "0");
        Self::with(&properties, cluster, |_| {})
    }

    pub(super) fn with(
        properties: &ClientConfig,
        cluster: &Cluster,
        on_connection: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(on_connection));
        let topic: Arc<str> = cluster.config().topic.as_str().into();
        let partitions = Arc::default();
        let context = ProducerContext {
            connection: Arc::clone(&connection),
            topic: Arc::clone(&topic),
            partitions: Arc::clone(&partitions),
        };
        let client = RenewableClient::new(properties, context).map_err(Error::Properties)?;
        Ok(Self {
            client: Arc::new(client),
            topic,
            partitions,
            clock: Arc::default(),
            connection,
        })
    }

    /// Returns the topic of Eventos.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Sets the number of partitions of the topic of Eventos. Until then, librdkafka chooses the partitions of records
    /// without a key.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions, Relaxed);
    }

    /// Calls `on_connection` of [`Producer::new`] with the current state. It is called when another client has reached
    /// a broker: this one counts as connected, too, unless it has reported the loss of its last broker.
    pub fn report_connection(&self) {
        self.connection.report();
    }

    /// Enqueues a record for the topic of Eventos.
    ///
    /// Records without a key that one caller enqueues keep their order when they are read back by timestamp, even
    /// across partitions: their timestamps never decrease, and all records with the same timestamp go to the same
    /// partition, which keeps the order of the calls.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Delivery, ProduceError> {
        if self.connection.is_down() {
            let reason = "no broker is connected".to_owned();
            return Err(ProduceError::Unavailable(reason));
        }
        let now = Timestamp::now().0;
        let timestamp = self.clock.fetch_max(now, Relaxed).max(now);
        let mut record = FutureRecord::to(&self.topic);
        record.key = key;
        record.payload = Some(value);
        record.timestamp = Some(timestamp);
        let partitions = self.partitions.load(Relaxed);
        if key.is_none() && partitions > 0 {
            let turn = timestamp / STICKY_MS % i64::from(partitions);
            record.partition = i32::try_from(turn).ok();
        }
        self.send(record)
    }

    /// Enqueues a record for any topic, with `more` headers after its own. Its key chooses the partition if `partition`
    /// is `None`. Records of one partition keep the order of the calls. A record without a timestamp gets the current
    /// time.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue_to<'h>(
        &self,
        topic: &str,
        partition: Option<Partition>,
        record: &RecordRef<'h>,
        more: impl IntoIterator<Item = Header<'h>>,
    ) -> Result<Delivery, ProduceError> {
        let mut record = to_kafka(topic, record, more);
        record.partition = partition.map(|partition| partition.0);
        self.send(record)
    }

    /// Enqueues a record for this partition of the topic of Eventos.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue_into(
        &self,
        partition: Partition,
        record: &RecordRef<'_>,
    ) -> Result<Delivery, ProduceError> {
        self.send(to_kafka(&self.topic, record, []).partition(partition.0))
    }

    /// Waits until all enqueued records have been acknowledged or have failed, but no longer than `timeout`.
    pub fn flush(&self, timeout: Duration) {
        if let Err(error) = self.client().flush(timeout) {
            tracing::warn!(%error, "some records were not acknowledged before the shutdown");
        }
    }

    pub(super) fn client(&self) -> Arc<FutureProducer<ProducerContext>> {
        self.client.current.load_full()
    }

    fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<Delivery, ProduceError> {
        match self.client.current.load().send_result(record) {
            Ok(acknowledgement) => Ok(Delivery {
                acknowledgement,
                client: Arc::clone(&self.client),
            }),
            Err((error, _)) => Err(ProduceError::new(&self.client, error)),
        }
    }
}

/// Converts a record, with `more` headers after its own.
fn to_kafka<'r, 'h>(
    topic: &'r str,
    record: &RecordRef<'r>,
    more: impl IntoIterator<Item = Header<'h>>,
) -> FutureRecord<'r, [u8], [u8]> {
    let mut converted = FutureRecord::to(topic);
    converted.key = record.key;
    converted.payload = record.value;
    converted.timestamp = (record.timestamp != Timestamp::NONE).then_some(record.timestamp.0);
    let mut headers = HeaderList::default();
    record
        .headers
        .clone()
        .for_each(|header| headers.push(header));
    more.into_iter().for_each(|header| headers.push(header));
    converted.headers = headers.into_inner();
    converted
}

/// A record that is being produced. The future returns when the broker has acknowledged it.
pub struct Delivery {
    acknowledgement: DeliveryFuture,
    client: Arc<RenewableClient>,
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let acknowledgement = Pin::new(&mut self.acknowledgement).poll(context);
        acknowledgement.map(|result| match result {
            Ok(Ok(delivery)) => Ok(Delivered {
                partition: Partition(delivery.partition),
                offset: Offset(delivery.offset),
            }),
            Ok(Err((error, _))) => Err(ProduceError::new(&self.client, error)),
            Err(_) => {
                let reason = "the producer was closed".to_owned();
                Err(ProduceError::Unavailable(reason))
            }
        })
    }
}

/// The position of a record that was produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record in its partition.
    pub offset: Offset,
}

/// Why a record was not produced, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// The queue of records to produce is full. There may be room later.
    #[error("the queue of records to produce is full")]
    QueueFull,
    /// The record exceeds the limit of the broker, of the topic, or of a property of the client.
    #[error("the record is larger than the broker accepts")]
    TooLarge,
    /// The broker cannot be reached, or did not acknowledge the record in time.
    #[error("the broker did not acknowledge the record: {0}")]
    Unavailable(String),
    /// The user of this daemon may not write to the topic.
    #[error("the broker does not permit this daemon to write to the topic")]
    NotPermitted,
    /// The user of this daemon may not write to any topic, so a dead letter cannot be produced either.
    #[error("the broker does not permit this daemon to write to any topic")]
    NothingIsPermitted,
    /// The broker rejected the record, and would reject it again.
    #[error("the broker rejected the record: {0}")]
    Refused(String),
}

impl ProduceError {
    /// Returns whether producing the same record again would fail again.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::TooLarge | Self::NotPermitted | Self::Refused(_))
    }

    /// Returns the permission to grant if a record for this topic failed for lack of it.
    #[must_use]
    pub fn permission(&self, topic: &str) -> Option<Permission> {
        match self {
            Self::NotPermitted => Some(Permission::Write(topic.to_owned())),
            Self::NothingIsPermitted => Some(Permission::Produce),
            _ => None,
        }
    }

    /// Converts the error of a record. If the client itself has failed, its error explains more than that of the
    /// record.
    fn new(client: &RenewableClient, error: KafkaError) -> Self {
        match client.fatal_error() {
            Some((RDKafkaErrorCode::ClusterAuthorizationFailed, _)) => Self::NothingIsPermitted,
            Some((_, reason)) => Self::Unavailable(reason),
            None => error.into(),
        }
    }
}

impl From<KafkaError> for ProduceError {
    fn from(error: KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => Self::QueueFull,
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Self::TooLarge,
            Some(Code::TopicAuthorizationFailed) => Self::NotPermitted,
            Some(Code::InvalidRecord | Code::InvalidTopic | Code::PolicyViolation) => {
                Self::Refused(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// The client of a producer. A client with a fatal error is replaced, for example if the broker permitted nothing, or
/// has lost the state of the idempotent producer.
struct RenewableClient {
    properties: ClientConfig,
    context: ProducerContext,
    current: ArcSwap<FutureProducer<ProducerContext>>,
    /// When the last attempt to make a client started. Held while it is replaced.
    since: Mutex<Instant>,
}

impl RenewableClient {
    fn new(properties: &ClientConfig, context: ProducerContext) -> KafkaResult<Self> {
        let client = properties.create_with_context(context.clone())?;
        Ok(Self {
            properties: properties.clone(),
            context,
            current: ArcSwap::from_pointee(client),
            since: Mutex::new(Instant::now()),
        })
    }

    /// Returns the fatal error of the client, if it has one, and replaces it. A transactional client is not replaced,
    /// because whoever runs its transactions has to start over.
    fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let error = self.current.load().client().fatal_error()?;
        let is_transactional = self.properties.get("transactional.id").is_some();
        if !is_transactional
            && let Some(mut since) = self.since.try_lock()
            && since.elapsed() >= MIN_CLIENT_AGE
        {
            *since = Instant::now();
            match self.properties.create_with_context(self.context.clone()) {
                Ok(client) => {
                    let old = self.current.swap(Arc::new(client));
                    // Dropping a client waits for its thread, which must not delay the caller.
                    thread::spawn(move || drop(old));
                }
                Err(error) => tracing::warn!(%error, "cannot replace a failed producer"),
            }
        }
        Some(error)
    }
}

/// Whether any broker is connected.
struct Connection {
    is_down: AtomicBool,
    /// Held during a call, so that the last call has the current state.
    on_change: Mutex<Box<dyn Fn(bool) + Send>>,
}

impl Connection {
    fn new(on_change: impl Fn(bool) + Send + 'static) -> Self {
        Self {
            is_down: AtomicBool::new(false),
            on_change: Mutex::new(Box::new(on_change)),
        }
    }

    fn is_down(&self) -> bool {
        self.is_down.load(Relaxed)
    }

    fn set_down(&self, is_down: bool) {
        let on_change = self.on_change.lock();
        if self.is_down.swap(is_down, Relaxed) != is_down {
            on_change(!is_down);
        }
    }

    fn report(&self) {
        let on_change = self.on_change.lock();
        on_change(!self.is_down());
    }
}

/// The context of a producer. librdkafka reports the loss of the last broker as an error. Its statistics show when a
/// broker is back, to which it reconnects every second, and the current number of partitions of the topic.
#[derive(Clone)]
pub(super) struct ProducerContext {
    connection: Arc<Connection>,
    topic: Arc<str>,
    partitions: Arc<AtomicI32>,
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
