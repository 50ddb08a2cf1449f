//! Producing, with the broker's acknowledgement as the answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    message::{Header as KafkaHeader, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
};

use super::{
    Config, Delivery, Error, ProduceError,
    client::properties,
    connection::{Connection, Context},
    renewable::Renewable,
};
use crate::event::{Header, Partition, RecordRef, Timestamp};

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
        config: &Config,
        servers: &str,
        connected: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::with(&properties(config, servers, OURS), config, connected)
    }

    /// A producer that gives no record up: what the broker does not acknowledge stays on its way, and what was enqueued
    /// after it stays behind it, however long the broker is gone.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn patient(config: &Config, servers: &str) -> Result<Self, Error> {
        let mut properties = properties(config, servers, OURS);
        // 0 is for ever. It wins over the user's own, which is for those who wait for an answer.
        properties.set("message.timeout.ms", "0");
        Self::with(&properties, config, |_| {})
    }

    pub(super) fn with(
        properties: &ClientConfig,
        config: &Config,
        connected: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(connected));
        let (topic, partitions): (Arc<str>, _) = (config.topic.as_str().into(), Arc::default());
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
