//! Where assigned partitions begin: at the committed offset, before it to restore a view, or elsewhere if none is committed or
//! the committed offset does not fit the topic.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio_util::sync::CancellationToken;

use super::{
    AutoOffsetReset, Config,
    consume_range::{ConsumeRange, PartitionFacts},
    native::{describe_topic, set_held},
    rebalance::{accept, topic_partitions},
};
use crate::event::{CommitMetadata, Offset, Partition, TopicId, TopicPartition, ViewStart};

/// How long one request may take while a rebalance is going on, and how often it is made. The group waits meanwhile, for
/// at most `max.poll.interval.ms` (5 minutes).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 3;

/// A partition that the group has just assigned to this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAssignment {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// What is consumed of it first, if the broker answered.
    pub range: Option<ConsumeRange>,
}

/// Plans where assigned partitions begin.
pub(super) struct StartPlanner {
    topic: Arc<str>,
    /// Where a group begins that has committed nothing at all.
    reset: AutoOffsetReset,
    /// How many records are replayed if no start of the view was committed with the offset. None to replay nothing.
    replay: Option<u64>,
    /// Cancelled once the consumer is closing. It may still be assigned partitions then, but its requests to the broker fail.
    closing: CancellationToken,
    /// The id of the topic, once the broker has reported it.
    topic_id: OnceLock<TopicId>,
    /// Whether another topic has been seen to have its name since.
    is_replaced: AtomicBool,
}

impl StartPlanner {
    pub(super) fn new(config: &Config, replay: Option<u64>, closing: CancellationToken) -> Self {
        Self {
            topic: config.topic.as_str().into(),
            reset: config.auto_offset_reset,
            replay,
            closing,
            topic_id: OnceLock::new(),
            is_replaced: AtomicBool::new(false),
        }
    }

    /// The id of the topic that is consumed, if it is known.
    pub(super) fn topic_id(&self) -> Option<TopicId> {
        self.topic_id.get().copied()
    }

    /// Returns whether another topic with the same name was seen when partitions were assigned. These are paused.
    pub(super) fn is_topic_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Relaxed)
    }

    /// Asks the broker where the partitions in the list begin, sets that in the list, and accepts them. A partition about
    /// which the broker does not answer begins at its committed offset.
    ///
    /// # Errors
    /// The partitions could not be accepted.
    pub(super) fn begin<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<Vec<NewAssignment>> {
        let (assigned, resets) = self.plan(consumer, list);
        accept(consumer, list)?;
        // librdkafka does not do this for a partition that was held when it was revoked.
        for partition in topic_partitions(list) {
            set_held(consumer, &partition, false);
        }
        if self.is_replaced.load(Ordering::Relaxed) {
            // The consumer that replaces this one begins at offsets of the new topic.
            consumer.pause(list)?;
            return Ok(assigned);
        }
        if resets.count() > 0 {
            // The commit in the background never goes back. Until this one, a crash would lose the records in between.
            if let Err(error) = consumer.commit(&resets, CommitMode::Sync) {
                tracing::error!(%error, "cannot commit where partitions begin anew; after a crash they may begin elsewhere");
            }
        }
        Ok(assigned)
    }

    fn plan<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) -> (Vec<NewAssignment>, TopicPartitionList) {
        if list.count() == 0 {
            return (Vec::new(), TopicPartitionList::new());
        }
        for attempt in 1..=TRIES {
            if self.closing.is_cancelled() {
                return unplanned(list);
            }
            match self.try_plan(consumer, list) {
                Ok(planned) => return planned,
                Err(error) => {
                    tracing::warn!(%error, attempt, tries = TRIES, "cannot find out where the assigned partitions begin");
                }
            }
        }
        match self.replay {
            None => tracing::error!(
                "the assigned partitions begin at their committed offsets, which were not checked"
            ),
            Some(_) => tracing::error!(
                "the views of the assigned partitions start empty, and this instance does not become ready; restart it \
                 once the broker answers"
            ),
        }
        unplanned(list)
    }

    fn try_plan<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<(Vec<NewAssignment>, TopicPartitionList)> {
        let described = describe_topic(consumer.client(), &self.topic, REQUEST_TIMEOUT)?;
        let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        let described = described.ok_or(unknown)?;
        let topic_id = described.id.map(|id| *self.topic_id.get_or_init(|| id));
        if topic_id != described.id {
            self.is_replaced.store(true, Ordering::Relaxed);
            return Ok(unplanned(list));
        }
        if self.reset == AutoOffsetReset::Latest {
            self.begin_at_the_end(consumer, list, described.partitions)?;
        }
        let committed = consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT)?;
        let [first, end] = bounds(consumer, list)?;
        let mut assigned = Vec::with_capacity(list.count());
        let mut resets = TopicPartitionList::new();
        for one in committed.elements() {
            one.error()?;
            let (topic, number) = (one.topic(), one.partition());
            let partition = TopicPartition::new(topic, Partition(number));
            let facts = PartitionFacts {
                committed: absolute(one.offset()),
                metadata: CommitMetadata::read(one.metadata()),
                first: offset_of(&first, topic, number)?,
                end: offset_of(&end, topic, number)?,
            };
            let (range, reset) = facts.range(topic_id, self.replay);
            list.set_partition_offset(topic, number, KafkaOffset::Offset(range.from.0))?;
            if let Some(reset) = reset {
                reset.log(&partition, range.from);
                let view = Some(ViewStart::at(range.from));
                let metadata = CommitMetadata {
                    view,
                    topic: topic_id,
                };
                add(&mut resets, &partition, range.from, metadata)?;
            }
            assigned.push(NewAssignment {
                topic_partition: partition,
                range: Some(range),
            });
        }
        Ok((assigned, resets))
    }

    /// Commits the end of every partition if the group has committed nothing at all. From then on a partition without a
    /// committed offset is a new one, of which nothing may be left out.
    fn begin_at_the_end<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        assigned: &TopicPartitionList,
        partitions: usize,
    ) -> KafkaResult<()> {
        let committed = consumer.committed_offsets(assigned.clone(), REQUEST_TIMEOUT)?;
        if is_any_committed(&committed)? {
            return Ok(());
        }
        let mut all = TopicPartitionList::with_capacity(partitions);
        for number in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            all.add_partition(&self.topic, number);
        }
        if is_any_committed(&consumer.committed_offsets(all.clone(), REQUEST_TIMEOUT)?)? {
            return Ok(());
        }
        let [_, end] = bounds(consumer, &all)?;
        let mut ends = TopicPartitionList::with_capacity(partitions);
        for one in all.elements() {
            let partition = TopicPartition::new(one.topic(), Partition(one.partition()));
            let end = Offset(offset_of(&end, one.topic(), one.partition())?);
            let metadata = CommitMetadata {
                view: Some(ViewStart::at(end)),
                topic: self.topic_id(),
            };
            add(&mut ends, &partition, end, metadata)?;
        }
        tracing::info!(
            "the group has committed nothing yet: it begins at the end of each partition"
        );
        consumer.commit(&ends, CommitMode::Sync)
    }
}

/// Returns the first offset and the end of each partition in the list.
fn bounds<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<[TopicPartitionList; 2]> {
    // Kafka's ListOffsets accepts these two in place of a timestamp.
    let [mut first, mut end] =
        [KafkaOffset::Beginning, KafkaOffset::End].map(|bound| (bound, list.clone()));
    for (bound, asked) in [&mut first, &mut end] {
        asked.set_all_offsets(*bound)?;
        *asked = consumer.offsets_for_times(asked.clone(), REQUEST_TIMEOUT)?;
    }
    Ok([first.1, end.1])
}

/// Returns the offset of a partition in an answer of [`bounds`].
fn offset_of(list: &TopicPartitionList, topic: &str, number: i32) -> KafkaResult<i64> {
    let Some(found) = list.find_partition(topic, number) else {
        return Ok(0);
    };
    found.error()?;
    Ok(absolute(found.offset()).unwrap_or(0))
}

fn is_any_committed(list: &TopicPartitionList) -> KafkaResult<bool> {
    for one in list.elements() {
        one.error()?;
        if absolute(one.offset()).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add(
    list: &mut TopicPartitionList,
    TopicPartition { topic, partition }: &TopicPartition,
    offset: Offset,
    metadata: CommitMetadata,
) -> KafkaResult<()> {
    list.add_partition_offset(topic, partition.0, KafkaOffset::Offset(offset.0))?;
    if let Some(mut one) = list.find_partition(topic, partition.0) {
        one.set_metadata(metadata.to_string());
    }
    Ok(())
}

/// These partitions, which begin at their committed offset, or at the oldest one.
fn unplanned(list: &TopicPartitionList) -> (Vec<NewAssignment>, TopicPartitionList) {
    let partitions = topic_partitions(list).into_iter();
    let unplanned = |topic_partition| NewAssignment {
        topic_partition,
        range: None,
    };
    (
        partitions.map(unplanned).collect(),
        TopicPartitionList::new(),
    )
}

/// Returns the offset if it is absolute, not relative such as "beginning".
fn absolute(offset: KafkaOffset) -> Option<i64> {
    match offset {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    }
}
