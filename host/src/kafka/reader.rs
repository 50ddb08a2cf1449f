//! Reading a topic once, up to its current end, without joining a group.

use std::{
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{
    Cluster, Consumed, Error,
    client::Logged,
    native::{ClientError, ConsumerQueue, QueueEvent},
    permissions::Permission,
};
use crate::event::{Offset, Partition};

/// Properties of a reader. Its records are processed as they arrive, so it fetches little ahead.
const DEFAULTS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "4096"),
    ("allow.auto.create.topics", "false"),
];

/// Timeout of one request, and of the next record.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads ranges of the partitions of a topic, one after the other. Its calls block.
pub struct Reader {
    queue: ConsumerQueue<Logged>,
    topic: String,
    ranges: VecDeque<ReadRange>,
}

struct ReadRange {
    partition: Partition,
    left: Range<i64>,
    is_assigned: bool,
}

impl Reader {
    /// Looks up the available offsets of each partition, and calls `choose` for the ranges to read, in ascending order
    /// of partitions. Ranges are cut to the available offsets.
    ///
    /// # Errors
    /// [`Error::Properties`], [`Error::TopicMissing`] or [`Error::Request`].
    pub fn open<R: IntoIterator<Item = Range<Offset>>>(
        cluster: &Cluster,
        topic: &str,
        mut choose: impl FnMut(Partition, Range<Offset>) -> R,
    ) -> Result<Self, Error> {
        let inner: BaseConsumer<Logged> = cluster
            .properties(DEFAULTS)
            // librdkafka assigns no partitions to a client without a group, but this client does not join it.
            .set("group.id", &cluster.config().group_id)
            .create_with_context(Logged)
            .map_err(Error::Properties)?;
        let what = "describe the topic to read";
        let failed = |source| Error::Request { what, source };
        let metadata = inner.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
        let missing = Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        if metadata.topics().iter().any(|it| it.error() == missing) {
            return Err(Error::TopicMissing(topic.to_owned()));
        }
        let described = metadata.topics().iter().flat_map(|it| it.partitions());
        let mut partitions: Vec<_> = described.map(|it| Partition(it.id())).collect();
        partitions.sort_unstable();
        let mut ranges = VecDeque::new();
        for partition in partitions {
            let (low, high) = inner
                .fetch_watermarks(topic, partition.0, TIMEOUT)
                .map_err(failed)?;
            let chosen = choose(partition, Offset(low)..Offset(high)).into_iter();
            let left = chosen.map(|of| of.start.0.max(low)..of.end.0.min(high));
            let left = left.filter(|of| !of.is_empty());
            ranges.extend(left.map(|left| ReadRange {
                partition,
                left,
                is_assigned: false,
            }));
        }
        Ok(Self {
            queue: ConsumerQueue::new(inner).map_err(Error::Properties)?,
            topic: topic.to_owned(),
            ranges,
        })
    }

    /// Returns the next record, or `None` at the end. Records of open and aborted transactions are left out.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] or [`Error::Request`].
    pub fn read(&mut self) -> Result<Option<Consumed<'_>>, Error> {
        let deadline = Instant::now() + TIMEOUT;
        while let Some(range) = self.ranges.front_mut() {
            if range.left.is_empty() {
                self.ranges.pop_front();
                continue;
            }
            if !range.is_assigned {
                assign(self.queue.client(), &self.topic, range)?;
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            match self.queue.poll(wait) {
                None if wait.is_zero() => return Err(read_error(KafkaError::NoMessageReceived)),
                None => {}
                Some(QueueEvent::Record(record)) if record.partition() != range.partition => {}
                Some(QueueEvent::Record(record)) if record.offset().0 < range.left.end => {
                    range.left.start = record.offset().0 + 1;
                    return Ok(Some(record));
                }
                // The record was added after the reader was opened.
                Some(QueueEvent::Record(_)) => {
                    self.ranges.pop_front();
                }
                Some(QueueEvent::PartitionEnd(ended, _)) if ended.partition == range.partition => {
                    self.ranges.pop_front();
                }
                // The end of a partition that was read before.
                Some(QueueEvent::PartitionEnd(..)) => {}
                Some(QueueEvent::Error(error)) => check(&error, &self.topic, wait)?,
            }
        }
        Ok(None)
    }

    /// Returns whether there may be further records.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|range| !range.left.is_empty())
    }
}

fn assign(inner: &BaseConsumer<Logged>, topic: &str, range: &mut ReadRange) -> Result<(), Error> {
    let mut list = TopicPartitionList::with_capacity(1);
    let offset = rdkafka::Offset::Offset(range.left.start);
    list.add_partition_offset(topic, range.partition.0, offset)
        .and_then(|()| inner.assign(&list))
        .map_err(read_error)?;
    range.is_assigned = true;
    Ok(())
}

/// Returns the error, if waiting longer does not help.
fn check(error: &ClientError, topic: &str, left: Duration) -> Result<(), Error> {
    if error.code == RDKafkaErrorCode::TopicAuthorizationFailed {
        return Err(Error::NotPermitted(Permission::Read(topic.to_owned())));
    }
    if left.is_zero() || error.is_fatal {
        return Err(read_error(KafkaError::MessageConsumption(error.code)));
    }
    tracing::debug!(%error, "cannot fetch records; trying again");
    Ok(())
}

fn read_error(source: KafkaError) -> Error {
    let what = "read a topic";
    Error::Request { what, source }
}
