//! A producer for records whose order matters. Its caller sends a group of records, waits until the broker has accepted
//! or rejected each of them, and only then sends the next group. So no record can overtake one that was rejected.
//!
//! librdkafka alone does not promise that: when the broker rejects a batch, it sends the batches behind it nevertheless.
//! This also requires that all records of a group for the same partition are in one batch, which holds if the group is
//! no larger than [`OrderedProducer::max_batch_size`] and [`MAX_GROUP`]: nothing is sent before the group is complete.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    bindings::rd_kafka_flush,
    producer::{BaseRecord, Producer as _, PurgeConfig},
    types::RDKafkaRespErr,
};

use super::{
    DEFAULTS, GroupContext, MAX_BATCH_SIZE, PolledProducer, ProduceFailure, ProducerContext,
    RenewableClient,
    record::{BATCH_OVERHEAD, min_batch_size, size_in_batch, to_kafka},
};
use crate::{
    event::{Header, Partition, RecordRef},
    kafka::{Cluster, Error, produce_error::ProduceError, topic_limits::TopicLimits},
};

/// Most records in a group.
const MAX_GROUP: usize = 10_000;

/// Most topics whose partitions are remembered to be known, since a handler may emit to any number of topics.
const MAX_TOPICS: usize = 1_024;

/// Longest time for which a thread waits in librdkafka at a time.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// How long records that were given up may take to fail.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the metadata of a topic may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Produces groups of records to any topics, one group after the other. A record is retried until the broker accepts or
/// rejects it, however long that takes.
pub struct OrderedProducer {
    client: RenewableClient<GroupContext>,
    context: GroupContext,
    limits: TopicLimits,
    /// Topics of which librdkafka knows the partitions. It keeps records of others in one queue, and may send them in
    /// several batches once it knows.
    known: Mutex<BTreeSet<String>>,
    max_batch_size: usize,
    max_group: usize,
    is_compressing: bool,
}

impl OrderedProducer {
    /// Makes a producer. It connects in the background.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(cluster: &Cluster, limits: &TopicLimits) -> Result<Self, Error> {
        let mut properties = cluster.properties(DEFAULTS);
        // 0 disables the timeout. This overrides [kafka.properties], where the timeout is set for HTTP requests.
        properties.set("message.timeout.ms", "0");
        Self::with(properties, cluster, limits)
    }

    pub(in crate::kafka) fn with(
        mut properties: ClientConfig,
        cluster: &Cluster,
        limits: &TopicLimits,
    ) -> Result<Self, Error> {
        let number = |name| properties.get(name).and_then(|value| value.parse().ok());
        let max_batch_size =
            number("batch.size").map_or(MAX_BATCH_SIZE, |it: usize| it.min(MAX_BATCH_SIZE));
        let max_group =
            number("batch.num.messages").map_or(MAX_GROUP, |it: usize| it.min(MAX_GROUP));
        let codecs = ["compression.codec", "compression.type"];
        let mut codecs = codecs.iter().filter_map(|name| properties.get(name));
        let is_compressing = codecs.any(|codec| codec != "none");
        // In a transaction, the timeout of the transaction limits it. A transaction with a rejected record is aborted as a
        // whole, so that there nothing depends on the records of a group being in one batch.
        let linger = match properties.get("transactional.id") {
            Some(_) => "500",
            None => "900000",
        };
        // The end of a group is what sends it, not its age or size. librdkafka counts some bytes of the request as well.
        properties
            .set("linger.ms", linger)
            .set("batch.num.messages", max_group.max(1).to_string())
            .set("statistics.interval.ms", "0");
        properties.remove("batch.size");
        let context = GroupContext::new(ProducerContext::new(&cluster.config().topic, |_| {}));
        let client = RenewableClient::new(&properties, 2 * MAX_BATCH_SIZE, context.clone())
            .map_err(Error::Properties)?;
        Ok(Self {
            client,
            context,
            limits: limits.clone(),
            known: Mutex::default(),
            max_batch_size,
            max_group,
            is_compressing,
        })
    }

    /// Returns the most bytes that the records of a group for one topic may take: as many as fit into one batch.
    #[must_use]
    pub fn max_batch_size(&self, topic: &str) -> usize {
        let limit = self.limits.max_batch(topic).unwrap_or(self.max_batch_size);
        limit
            .min(self.max_batch_size)
            .saturating_sub(BATCH_OVERHEAD)
    }

    /// Returns the most records for one topic that a group may have. The first record for a topic is sent alone.
    #[must_use]
    pub fn max_records(&self, topic: &str) -> usize {
        match self.known.lock().contains(topic) {
            true => self.max_group,
            false => 1,
        }
    }

    /// Takes note that the broker has accepted or rejected a record for a topic, so that its partitions are known.
    pub fn set_known(&self, topic: &str) {
        let mut known = self.known.lock();
        if known.len() < MAX_TOPICS && !known.contains(topic) {
            known.insert(topic.to_owned());
        }
    }

    /// Returns the most bytes that a record with `more` headers takes in a batch.
    pub fn size_in_batch<'h>(
        record: &RecordRef<'_>,
        more: impl IntoIterator<Item = Header<'h>>,
    ) -> usize {
        size_in_batch(record, more)
    }

    /// Adds a record for any topic to the group, with `more` headers after its own. Its key chooses the partition if
    /// `partition` is `None`. A record without a timestamp gets the current time.
    ///
    /// # Errors
    /// [`ProduceError`], if the record cannot be enqueued.
    pub fn enqueue<'h>(
        &self,
        topic: &str,
        partition: Option<Partition>,
        record: &RecordRef<'h>,
        more: impl IntoIterator<Item = Header<'h>>,
    ) -> Result<(), ProduceError> {
        let record = to_kafka(topic, record, more);
        let tag = self.context.add();
        let mut tagged = BaseRecord::with_opaque_to(topic, tag.to_opaque());
        tagged.partition = partition.map(|partition| partition.0);
        tagged.key = record.key;
        tagged.payload = record.payload;
        tagged.timestamp = record.timestamp;
        tagged.headers = record.headers;
        self.client
            .current()
            .inner()
            .send(tagged)
            .map_err(|(error, _)| {
                self.context.remove_last();
                self.client.explain(error)
            })
    }

    /// Returns the records of the group that were not accepted, by the order in which they were enqueued. The next record
    /// begins another group.
    #[must_use]
    pub fn take_failures(&self) -> Vec<(usize, ProduceFailure)> {
        let failures = self.context.take_failures().into_iter();
        let explained = failures.map(|(index, error, partition)| {
            let error = match error {
                Some(error) => self.client.explain(error),
                None => ProduceError::Unavailable("the record was given up".to_owned()),
            };
            (index, ProduceFailure { error, partition })
        });
        explained.collect()
    }

    /// Ends the group, and waits a moment for the broker. Returns whether it has accepted or rejected every record.
    #[must_use]
    pub fn finish_group(&self) -> bool {
        // A client that was replaced meanwhile may have records of the group, too.
        self.wait_for_all(FLUSH_INTERVAL) && self.context.wait(FLUSH_INTERVAL)
    }

    /// Ends the group without waiting for the broker.
    pub fn start_sending(&self) {
        // The threads of librdkafka have to notice the call while it lasts.
        self.wait_for_all(Duration::from_millis(1));
    }

    /// Gives up the group. Each of its records that the broker has not accepted or rejected fails, although it may have
    /// arrived.
    pub fn give_up(&self) {
        let purge = PurgeConfig::default().queue().inflight();
        self.client.current().inner().purge(purge);
        let deadline = Instant::now() + PURGE_TIMEOUT;
        while !self.finish_group() && Instant::now() < deadline {}
    }

    /// Looks a topic up again that was missing, because librdkafka waits some seconds before it does.
    pub fn refresh(&self, topic: &str) {
        self.known.lock().remove(topic);
        let client = self.client.current();
        let found = client
            .inner()
            .client()
            .fetch_metadata(Some(topic), METADATA_TIMEOUT);
        if let Err(error) = found {
            tracing::debug!(%error, topic, "cannot refresh the metadata of a topic");
        }
    }

    /// Takes note that a topic rejected records of a group as too large that took `size` bytes together, which is what
    /// groups are smaller than from now on.
    pub async fn shrink(&self, topic: &str, size: usize) {
        let size = size.saturating_add(BATCH_OVERHEAD);
        self.limits.learn_from_rejection(topic, size).await;
    }

    /// Asks the broker what a topic accepts, because it rejected a record.
    pub async fn learn(&self, topic: &str) {
        self.limits.learn_again(topic).await;
    }

    /// Asks the broker what a topic accepts, unless it is known well enough to judge a record by [`Self::exclusion`]. Returns
    /// whether it is known now.
    pub async fn learn_unless_fresh(&self, topic: &str) -> bool {
        if !self.limits.are_fresh(topic) {
            self.limits.learn_again(topic).await;
        }
        self.limits.are_fresh(topic)
    }

    /// Returns why a topic certainly rejects a record with `more` headers, by what is known of its settings.
    #[must_use]
    pub fn exclusion<'h>(
        &self,
        topic: &str,
        record: &RecordRef<'_>,
        more: impl IntoIterator<Item = Header<'h>>,
    ) -> Option<ProduceError> {
        let size = match self.is_compressing {
            true => 0,
            false => min_batch_size(record, more),
        };
        self.limits.exclusion(topic, record, size)
    }

    pub(in crate::kafka) fn inner(&self) -> PolledProducer<GroupContext> {
        self.client.current().inner().clone()
    }

    /// Sends what is enqueued, and waits until all of it has succeeded or failed, but no longer than this.
    fn wait_for_all(&self, timeout: Duration) -> bool {
        let client = self.client.current();
        let native = client.inner().client().native_ptr();
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // The function of rust-rdkafka that is called `flush` is of no use: it returns from the one of librdkafka at
        // once, before any thread has noticed that there is something to send.
        //
        // SAFETY: the pointer is that of a producer, which `client` keeps alive, and librdkafka's functions may be called
        // from any thread. Another thread, that of `PolledProducer`, handles the results meanwhile.
        let result = unsafe { rd_kafka_flush(native, timeout) };
        result == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
    }
}
