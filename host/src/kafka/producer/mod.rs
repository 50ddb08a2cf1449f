//! Producing records. The result of each is the acknowledgement of the broker.
//!
//! A [`Producer`] is for records that are independent of one another: it resends by itself what was rejected only because
//! of the batch that it was in. An [`OrderedProducer`] leaves that to its caller, who decides what may be sent next.

mod client;
mod delivery;
mod group_results;
mod ordered;
mod polled;
mod record;
mod report;
mod stamps;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _};
use tokio::sync::oneshot;

use super::{Cluster, Error, produce_error::ProduceError, topic_limits::TopicLimits};
use crate::event::{Partition, RecordRef, Timestamp};
use client::MAX_BATCH_SIZE;
pub(super) use client::{ProducerContext, RenewableClient};
pub use delivery::{Delivered, Delivery};
pub(super) use group_results::GroupContext;
pub use group_results::ProduceFailure;
pub use ordered::OrderedProducer;
pub(super) use polled::PolledProducer;
use record::to_kafka;
use report::{PendingReport, ReportContext};
use stamps::Stamps;

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

/// A client that reports on each record by itself.
type ReportClient = RenewableClient<ReportContext>;

/// One of its librdkafka clients.
type SharedClient = client::ProducerClient<ReportContext>;

/// Produces to the topic of Eventos. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Producer {
    clients: Arc<Clients>,
    context: ProducerContext,
    stamps: Arc<Stamps>,
}

/// The clients of a producer.
struct Clients {
    shared: ReportClient,
    /// Sends each record in a batch of its own; made when the first record needs it.
    of_own_batches: Mutex<Option<Arc<ReportClient>>>,
    topic: Arc<str>,
    limits: TopicLimits,
}

impl Clients {
    /// Returns the client for records that another client sent in a batch which the broker rejected.
    fn of_own_batches(&self) -> Result<Arc<ReportClient>, ProduceError> {
        let mut made = self.of_own_batches.lock();
        if let Some(client) = &*made {
            return Ok(Arc::clone(client));
        }
        let client = self
            .shared
            .sibling(&[("batch.num.messages", "1"), ("statistics.interval.ms", "0")])?;
        Ok(Arc::clone(made.insert(Arc::new(client))))
    }
}

impl ReportClient {
    /// Enqueues a record. Returns with it the client that sends it.
    fn send(
        &self,
        record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<(PendingReport, Arc<SharedClient>), ProduceError> {
        let (sender, report) = oneshot::channel();
        let mut tagged = BaseRecord::with_opaque_to(record.topic, Box::new(sender));
        tagged.partition = record.partition;
        tagged.key = record.key;
        tagged.payload = record.payload;
        tagged.timestamp = record.timestamp;
        tagged.headers = record.headers;
        let client = self.current();
        match client.inner().send(tagged) {
            Ok(()) => Ok((report, client)),
            Err((error, _)) => Err(self.explain(error)),
        }
    }
}

impl Producer {
    /// Makes a producer. It connects in the background. `on_connection` is called with `false` when the connection to the
    /// last broker is lost, and with `true` when one is back.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(
        cluster: &Cluster,
        limits: &TopicLimits,
        on_connection: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, Error> {
        let properties = cluster.properties(DEFAULTS);
        let context = ProducerContext::new(&cluster.config().topic, on_connection);
        let reports = ReportContext(context.clone());
        let shared = RenewableClient::new(&properties, MAX_BATCH_SIZE, reports)
            .map_err(Error::Properties)?;
        let clients = Clients {
            shared,
            of_own_batches: Mutex::default(),
            topic: Arc::clone(&context.topic),
            limits: limits.clone(),
        };
        Ok(Self {
            clients: Arc::new(clients),
            context,
            stamps: Arc::default(),
        })
    }

    /// Returns the topic of Eventos.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.context.topic
    }

    /// Sets the number of partitions of the topic. Until then, librdkafka chooses the partitions of records without a
    /// key. From now on, the size of batches is that which the topic accepts, if it is known.
    pub fn set_topic(&self, partitions: i32) {
        self.context.partitions.store(partitions, Relaxed);
        if let Some(limit) = self.clients.limits.max_batch(self.topic()) {
            self.clients.shared.set_batch_size(limit);
        }
    }

    /// Calls `on_connection` of [`Producer::new`] with the current state. It is called when another client has reached
    /// a broker: this one counts as connected, too, unless it has reported the loss of its last broker.
    pub fn report_connection(&self) {
        self.context.connection.report();
    }

    /// Enqueues a record.
    ///
    /// Records without a key that one caller enqueues keep their order when they are read back by timestamp, even
    /// across partitions: their timestamps never decrease, unless the wall clock is set back by more than a second, and
    /// all records with the same timestamp go to the same partition, which keeps the order of the calls.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Delivery, ProduceError> {
        if self.context.connection.is_down() {
            return Err(ProduceError::Disconnected);
        }
        let timestamp = self.stamps.next(Timestamp::now()).0;
        let mut record = FutureRecord::to(self.topic());
        record.key = key;
        record.payload = Some(value);
        record.timestamp = Some(timestamp);
        let partitions = self.context.partitions.load(Relaxed);
        if key.is_none() && partitions > 0 {
            let turn = timestamp / STICKY_MS % i64::from(partitions);
            record.partition = i32::try_from(turn).ok();
        }
        self.send(record)
    }

    /// Enqueues a record for this partition.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue_into(
        &self,
        partition: Partition,
        record: &RecordRef<'_>,
    ) -> Result<Delivery, ProduceError> {
        self.send(to_kafka(self.topic(), record, []).partition(partition.0))
    }

    /// Waits until all enqueued records have been acknowledged or have failed, but no longer than `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let client = self.clients.shared.current();
        if let Err(error) = client.inner().flush(timeout) {
            tracing::warn!(%error, "some records were not acknowledged before the shutdown");
        }
    }

    fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<Delivery, ProduceError> {
        let timestamp = record.timestamp;
        let (acknowledgement, client) = self.clients.shared.send(record)?;
        let clients = Arc::clone(&self.clients);
        Ok(Delivery::new(acknowledgement, client, clients, timestamp))
    }
}

impl Clients {
    /// Sends smaller batches, because the broker rejected one of this client for its size. How small they have to be is
    /// asked in the background; until then, and without an answer, they have half of the size.
    fn shrink(self: &Arc<Self>, used: &SharedClient) {
        if !self.shared.shrink(used) {
            return;
        }
        tracing::info!(
            topic = &*self.topic,
            batch_size = used.batch_size,
            "the topic rejected a batch for its size; sending smaller ones"
        );
        let clients = Arc::clone(self);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                clients.limits.learn(&[&clients.topic]).await;
                if let Some(limit) = clients.limits.max_batch(&clients.topic) {
                    clients.shared.set_batch_size(limit);
                }
            });
        }
    }
}
