//! Produces a record now and then to a topic of its own, which is created when the first record needs it.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{
    Cluster, Error, admin::TopicAdmin, client::Logged, detached::Detached, producer::DEFAULTS,
};

/// How long one record may wait for room in the producer's queue. It is the only one there.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes records one at a time, each acknowledged by all replicas. The client is made for the first of them.
pub struct TopicWriter {
    cluster: Cluster,
    topic: String,
    producer: Option<Detached<FutureProducer<Logged>>>,
}

impl TopicWriter {
    /// Returns a writer for this topic. It does not connect yet.
    #[must_use]
    pub fn new(cluster: &Cluster, topic: String) -> Self {
        Self {
            cluster: cluster.clone(),
            topic,
            producer: None,
        }
    }

    /// Returns the name of the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Produces a record, and waits until the broker has acknowledged it. Records with the same key keep their order.
    ///
    /// # Errors
    /// [`Error`] if the topic cannot be created, or the record is not acknowledged.
    pub async fn append(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect().await?,
        };
        let record = FutureRecord::to(&self.topic).key(key).payload(value);
        let sent = producer.send(record, QUEUE_TIMEOUT).await;
        sent.map_err(|(source, _)| Error::Request {
            what: "produce a record",
            source,
        })?;
        // After a failure, the next record checks the topic again.
        self.producer = Some(producer);
        Ok(())
    }

    /// Returns whether there is a client, with its threads and connections.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.producer.is_some()
    }

    /// Closes the client until the next record.
    pub fn close(&mut self) {
        self.producer = None;
    }

    async fn connect(&self) -> Result<Detached<FutureProducer<Logged>>, Error> {
        let admin = TopicAdmin::new(&self.cluster)?;
        let is_there = match admin.partitions(&self.topic).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => admin.create(&self.topic).await,
            Err(error) => Err(error),
        };
        is_there?;
        let mut properties = self.cluster.properties(DEFAULTS);
        // Its statistics are not used.
        properties.set("statistics.interval.ms", "0");
        let producer = properties.create_with_context(Logged);
        producer.map(Detached::new).map_err(Error::Properties)
    }
}
