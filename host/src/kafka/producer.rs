//! Producing, with the broker's acknowledgement as the answer.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering::Relaxed},
    },
    task::{self, Poll},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header as KafkaHeader, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{Cluster, Error, client::log, permissions::Permission};
use crate::event::{Header, Offset, Partition, RecordRef, Timestamp};

/// Idempotent, so that a retried request is not stored twice; all in-sync replicas acknowledge.
/// The partitioner is that of Kafka's own clients, so that a key lands where theirs put it.
pub(super) const OURS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "15000"),
    // The broker and the topic say how large a record may be.
    ("message.max.bytes", "1000000000"),
    ("linger.ms", "1"),
    ("statistics.interval.ms", "1000"),
];

/// For so long, records without a key go to one partition: they then fill few, large batches
/// (what librdkafka calls sticky partitioning, with its default of 10 ms).
const STICKY_MS: i64 = 10;

/// Produces to any topic. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Producer {
    client: Arc<Renewable>,
    topic: Arc<str>,
    /// 0 until it is known.
    partitions: Arc<AtomicI32>,
    /// The stamp of the last record.
    clock: Arc<AtomicI64>,
    connection: Arc<Connection>,
}

impl Producer {
    /// A producer whose [`Producer::enqueue`] goes to `config.topic`. It connects when it can;
    /// `connected` is told when the last broker is lost, and when one is back.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(
        cluster: &Cluster,
        connected: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::with(&cluster.properties(OURS), cluster, connected)
    }

    /// A producer that gives no record up: what the broker does not acknowledge stays on its way, and what was enqueued
    /// after it stays behind it, however long the broker is gone.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn patient(cluster: &Cluster) -> Result<Self, Error> {
        let mut properties = cluster.properties(OURS);
        // 0 is for ever. It wins over the user's own, which is for those who wait for an answer.
        properties.set("message.timeout.ms", "0");
        Self::with(&properties, cluster, |_| {})
    }

    pub(super) fn with(
        properties: &ClientConfig,
        cluster: &Cluster,
        connected: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(connected));
        let topic: Arc<str> = cluster.config().topic.as_str().into();
        let partitions = Arc::default();
        let context = Context {
            connection: Arc::clone(&connection),
            topic: Arc::clone(&topic),
            partitions: Arc::clone(&partitions),
        };
        let client = Renewable::new(properties, context).map_err(Error::Properties)?;
        Ok(Self {
            client: Arc::new(client),
            topic,
            partitions,
            clock: Arc::default(),
            connection,
        })
    }

    /// The topic of Eventos.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Says how many partitions the topic of Eventos has. Until then librdkafka chooses those of
    /// records without a key.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions, Relaxed);
    }

    /// Tells `connected`, as [`Producer::new`] got it, how it is now: another client has reached a
    /// broker, and this one has too unless it said that it lost the last one.
    pub fn tell_connected(&self) {
        self.connection.tell();
    }

    /// Puts a record for the topic of Eventos on its way.
    ///
    /// Records without a key that one caller enqueues keep their order when they are read back
    /// by timestamp, even across partitions: the clock that stamps them never goes back, and all
    /// records of one stamp go to one partition, which keeps the order of the calls.
    ///
    /// # Errors
    /// [`ProduceError`] at once, if it could not even be queued.
    pub fn enqueue(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Delivery, ProduceError> {
        if self.connection.is_down() {
            let reason = "no broker is connected".to_owned();
            return Err(ProduceError::Unavailable(reason));
        }
        let now = Timestamp::now().0;
        let stamp = self.clock.fetch_max(now, Relaxed).max(now);
        let mut record = FutureRecord::to(&self.topic);
        record.key = key;
        record.payload = Some(value);
        record.timestamp = Some(stamp);
        let partitions = self.partitions.load(Relaxed);
        if key.is_none() && partitions > 0 {
            let turn = stamp / STICKY_MS % i64::from(partitions);
            record.partition = i32::try_from(turn).ok();
        }
        self.send(record)
    }

    /// Puts a record for any topic on its way, with more headers after its own. Its key chooses the
    /// partition unless one is given. Records of one partition keep the order of the calls. Without a timestamp it
    /// gets that of the call.
    ///
    /// # Errors
    /// [`ProduceError`] at once, if it could not even be queued.
    pub fn enqueue_to<'h>(
        &self,
        topic: &str,
        partition: Option<Partition>,
        record: &RecordRef<'h>,
        more: impl IntoIterator<Item = Header<'h>>,
    ) -> Result<Delivery, ProduceError> {
        let mut made = made(topic, record, more);
        made.partition = partition.map(|partition| partition.0);
        self.send(made)
    }

    /// Puts a record for this partition of the topic of Eventos on its way, as it is.
    ///
    /// # Errors
    /// [`ProduceError`] at once, if it could not even be queued.
    pub fn enqueue_into(
        &self,
        partition: Partition,
        record: &RecordRef<'_>,
    ) -> Result<Delivery, ProduceError> {
        self.send(made(&self.topic, record, []).partition(partition.0))
    }

    /// Waits until nothing is on its way any more, at most so long.
    pub fn flush(&self, at_most: Duration) {
        if let Err(error) = self.inner().flush(at_most) {
            tracing::warn!(%error, "records are left that the broker did not acknowledge");
        }
    }

    pub(super) fn inner(&self) -> FutureProducer<Context> {
        self.client.client()
    }

    fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<Delivery, ProduceError> {
        match self.inner().send_result(record) {
            Ok(answer) => Ok(Delivery::new(answer, &self.client)),
            Err((error, _)) => Err(ProduceError::of(&self.client, error)),
        }
    }
}

fn made<'r, 'h>(
    topic: &'r str,
    record: &RecordRef<'r>,
    more: impl IntoIterator<Item = Header<'h>>,
) -> FutureRecord<'r, [u8], [u8]> {
    let mut made = FutureRecord::to(topic);
    made.key = record.key;
    made.payload = record.value;
    made.timestamp = (record.timestamp != Timestamp::NONE).then_some(record.timestamp.0);
    let add = |all: OwnedHeaders, Header { name, value }: Header<'_>| {
        all.insert(KafkaHeader { key: name, value })
    };
    let own = record.headers.clone().fold(OwnedHeaders::new(), add);
    made.headers = Some(more.into_iter().fold(own, add));
    made
}

/// A record on its way; await it for the broker's acknowledgement.
pub struct Delivery {
    answer: DeliveryFuture,
    client: Arc<Renewable>,
}

impl Delivery {
    fn new(answer: DeliveryFuture, client: &Arc<Renewable>) -> Self {
        let client = Arc::clone(client);
        Self { answer, client }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| match answer {
                Ok(Ok(delivery)) => Ok(Delivered {
                    partition: Partition(delivery.partition),
                    offset: Offset(delivery.offset),
                }),
                Ok(Err((error, _))) => Err(ProduceError::of(&self.client, error)),
                Err(_) => Err(ProduceError::Unavailable("it is shutting down".to_owned())),
            })
    }
}

/// Where a record was put, once the broker acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition that it is in.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
}

/// Why a record was not, or may not have been, produced.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// The queue to the broker is full; later there may be room.
    #[error("the queue of records to produce is full")]
    QueueFull,
    /// The broker, or the client's own setting, takes no record of this size.
    #[error("the record is larger than the broker takes")]
    TooLarge,
    /// The broker cannot be reached, or did not acknowledge in time.
    #[error("the broker does not acknowledge: {0}")]
    Unavailable(String),
    /// The broker does not permit to write to the topic.
    #[error("the broker does not permit this daemon to write to the topic")]
    NotPermitted,
    /// The broker does not permit to write to any topic, so not to the one of dead letters either.
    #[error("the broker does not permit this daemon to write to any topic")]
    NothingIsPermitted,
    /// The broker refused it for good.
    #[error("the broker refused the record: {0}")]
    Refused(String),
}

impl ProduceError {
    /// Whether to produce the same record again is of no use.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::TooLarge | Self::NotPermitted | Self::Refused(_))
    }

    /// What is to be granted, if that is what a record to this topic lacks.
    #[must_use]
    pub fn permission(&self, topic: &str) -> Option<Permission> {
        match self {
            Self::NotPermitted => Some(Permission::Write(topic.to_owned())),
            Self::NothingIsPermitted => Some(Permission::Produce),
            _ => None,
        }
    }

    /// What happened to its client says more than what that says of the record.
    fn of(client: &Renewable, error: KafkaError) -> Self {
        match client.given_up() {
            Some((RDKafkaErrorCode::ClusterAuthorizationFailed, _)) => Self::NothingIsPermitted,
            Some((_, why)) => Self::Unavailable(why),
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

/// How long a client is left in its place at least.
const LASTS: Duration = Duration::from_secs(5);

/// A producer's client, and another in its place once librdkafka has given it up for good: as when the broker permits it
/// nothing, or has forgotten what it knew of it.
struct Renewable {
    properties: ClientConfig,
    context: Context,
    // A std mutex, held for a look or a change.
    current: Mutex<Current>,
}

struct Current {
    client: FutureProducer<Context>,
    since: Instant,
}

impl Renewable {
    fn new(properties: &ClientConfig, context: Context) -> KafkaResult<Self> {
        let current = Current {
            client: properties.create_with_context(context.clone())?,
            since: Instant::now(),
        };
        Ok(Self {
            properties: properties.clone(),
            context,
            current: Mutex::new(current),
        })
    }

    fn client(&self) -> FutureProducer<Context> {
        self.lock().client.clone()
    }

    /// Why the client was given up for good, if it was; another takes its place then. Not that of a transactional one: who
    /// runs the transactions has to know.
    fn given_up(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut current = self.lock();
        let why = current.client.client().fatal_error()?;
        let is_transactional = self.properties.get("transactional.id").is_some();
        if !is_transactional && current.since.elapsed() >= LASTS {
            current.since = Instant::now();
            match self.properties.create_with_context(self.context.clone()) {
                Ok(client) => {
                    let gone = std::mem::replace(&mut current.client, client);
                    // It waits for its own thread to end, and nobody is to wait for that.
                    thread::spawn(move || drop(gone));
                }
                Err(error) => {
                    tracing::warn!(%error, "no producer in place of one that cannot go on")
                }
            }
        }
        Some(why)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any broker is connected.
struct Connection {
    down: AtomicBool,
    // Held while it is told, so that what it is told last is how it is.
    tell: Mutex<Box<dyn Fn(bool) + Send>>,
}

impl Connection {
    fn new(tell: impl Fn(bool) + Send + 'static) -> Self {
        Self {
            down: AtomicBool::new(false),
            tell: Mutex::new(Box::new(tell)),
        }
    }

    fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    fn set_down(&self, down: bool) {
        let tell = self.lock();
        if self.down.swap(down, Relaxed) != down {
            tell(!down);
        }
    }

    fn tell(&self) {
        let tell = self.lock();
        tell(!self.down.load(Relaxed));
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Fn(bool) + Send>> {
        self.tell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears of the connection: librdkafka says when the last broker is lost, and its statistics show
/// when one is back (it tries for one every second), and how many partitions the topic has by now.
#[derive(Clone)]
pub(super) struct Context {
    connection: Arc<Connection>,
    topic: Arc<str>,
    partitions: Arc<AtomicI32>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer");
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
            // Partitions are only ever added. That there are none says that nothing is known yet.
            let known = i32::try_from(known).unwrap_or(i32::MAX);
            self.partitions.fetch_max(known, Relaxed);
        }
    }
}
