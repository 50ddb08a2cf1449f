//! What the broker has of a contestant's work.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{PARTITIONS, contestants::Job};

/// How long the broker may take for a response.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks the broker as a client that knows the contestant's group, but is not a member of it.
pub(crate) struct BrokerView(BaseConsumer);

impl BrokerView {
    pub(crate) fn new(job: &Job) -> Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", &job.servers)
            .set("group.id", &job.group)
            // Otherwise the response has to wait for each transaction that is open.
            .set("isolation.level", "read_uncommitted")
            .create();
        Ok(Self(consumer.context("cannot ask the broker")?))
    }

    /// Returns the number of records before the committed offsets of a topic whose first offset is 0.
    pub(crate) fn committed(&self, topic: &str) -> Result<u64> {
        let partitions = partitions(topic, Offset::Invalid)?;
        let committed = self.0.committed_offsets(partitions, TIMEOUT);
        Ok(sum(&committed.context("cannot read the committed offsets")?))
    }

    /// Returns the number of offsets of a topic whose first offset is 0.
    pub(crate) fn produced(&self, topic: &str) -> Result<u64> {
        let ends = self
            .0
            .offsets_for_times(partitions(topic, Offset::End)?, TIMEOUT);
        Ok(sum(
            &ends.context("cannot read the end of the output topic")?
        ))
    }
}

fn partitions(topic: &str, offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

fn sum(partitions: &TopicPartitionList) -> u64 {
    let offsets = partitions
        .elements()
        .into_iter()
        .map(|it| it.offset().to_raw());
    offsets
        .flatten()
        .filter_map(|offset| u64::try_from(offset).ok())
        .sum()
}
