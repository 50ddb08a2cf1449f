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
    native::describe_topic,
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

/// What is consumed of an assigned partition first: records that are only replayed, for its view, and then records that
/// were never handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumeRange {
    /// The first offset that is consumed; the same as `handled` if there is nothing to replay.
    pub from: Offset,
    /// The offset before which all records were handled before: the committed offset, or the first one if the group has
    /// committed none of this topic.
    pub handled: Offset,
    /// Whether the group has committed `handled`.
    pub is_committed: bool,
    /// The end of the partition when it was assigned.
    pub end: Offset,
    /// The start of the view, as it was committed with the offset.
    pub view: Option<ViewStart>,
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

/// What the broker says about an assigned partition.
#[derive(Clone, Copy, Debug)]
struct PartitionFacts {
    /// The offset that the group has committed.
    committed: Option<i64>,
    metadata: CommitMetadata,
    /// The oldest offset that the broker has.
    first: i64,
    end: i64,
}

/// Why a partition does not begin where the group left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartReset {
    /// The committed offset is one of a former topic with the same name.
    TopicReplaced,
    /// The committed offset lies beyond the end of the partition.
    BeyondEnd { committed: i64, end: i64 },
    /// The records from the committed offset to the first one were deleted before they were handled.
    Deleted { committed: i64, first: i64 },
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

impl PartitionFacts {
    /// Returns what is consumed first, and why that is not where the group left the partition.
    fn range(
        self,
        topic: Option<TopicId>,
        replay: Option<u64>,
    ) -> (ConsumeRange, Option<StartReset>) {
        let Self {
            committed,
            metadata,
            first,
            end,
        } = self;
        let is_of_another = |of: TopicId| topic.is_some_and(|topic| topic != of);
        let reset = committed.and_then(|committed| match () {
            () if metadata.topic.is_some_and(is_of_another) => Some(StartReset::TopicReplaced),
            () if committed > end => Some(StartReset::BeyondEnd { committed, end }),
            () if committed < first => Some(StartReset::Deleted { committed, first }),
            () => None,
        });
        let handled = match reset {
            None => committed.unwrap_or(first),
            Some(_) => first,
        };
        // Nothing is left to show of a former topic.
        let replays = !matches!(
            reset,
            Some(StartReset::TopicReplaced | StartReset::BeyondEnd { .. })
        );
        let view = metadata.view.filter(|_| replays && committed.is_some());
        let wanted = match (replay.filter(|_| replays), view) {
            (None, _) => handled,
            (Some(_), Some(view)) => view.offset.0,
            (Some(records), None) => {
                handled.saturating_sub(i64::try_from(records).unwrap_or(i64::MAX))
            }
        };
        let range = ConsumeRange {
            from: Offset(wanted.max(first).min(handled)),
            handled: Offset(handled),
            is_committed: committed.is_some(),
            end: Offset(end),
            view,
        };
        (range, reset)
    }
}

impl StartReset {
    fn log(self, partition: &TopicPartition, from: Offset) {
        match self {
            Self::TopicReplaced => tracing::warn!(
                %partition, %from,
                "the topic was deleted and created again since the group committed its offset; beginning at the start"
            ),
            Self::BeyondEnd { committed, end } => tracing::warn!(
                %partition, committed, end, %from,
                "the committed offset lies beyond the end of the partition; beginning at the start"
            ),
            Self::Deleted { committed, first } => tracing::error!(
                %partition, committed, first, records = first - committed,
                "records were deleted before they were handled: the topic keeps them too short a time, or too few of them"
            ),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn facts(committed: Option<i64>, first: i64, end: i64) -> PartitionFacts {
        PartitionFacts {
            committed,
            metadata: CommitMetadata::default(),
            first,
            end,
        }
    }

    fn range(facts: PartitionFacts, replay: Option<u64>) -> (i64, i64, Option<StartReset>) {
        let (range, reset) = facts.range(TopicId::new(0, 1), replay);
        assert_eq!(range.is_committed, facts.committed.is_some());
        (range.from.0, range.handled.0, reset)
    }

    #[test]
    fn it_begins_where_the_group_left_it_or_before_to_restore_the_view() {
        assert_eq!(range(facts(Some(50), 10, 90), None), (50, 50, None));
        assert_eq!(range(facts(Some(50), 10, 90), Some(5)), (45, 50, None));
        assert_eq!(range(facts(Some(50), 10, 90), Some(500)), (10, 50, None));
        let mut with_view = facts(Some(50), 10, 90);
        with_view.metadata.view = Some(ViewStart {
            offset: Offset(30),
            time: Timestamp(7),
        });
        assert_eq!(range(with_view, Some(500)), (30, 50, None));
        assert_eq!(range(with_view, None), (50, 50, None));
    }

    #[test]
    fn a_partition_without_a_commit_begins_at_its_first_record() {
        assert_eq!(range(facts(None, 10, 90), Some(500)), (10, 10, None));
        assert_eq!(range(facts(None, 0, 0), None), (0, 0, None));
    }

    #[test]
    fn a_commit_that_does_not_fit_the_log_begins_at_its_start() {
        let beyond = StartReset::BeyondEnd {
            committed: 91,
            end: 90,
        };
        assert_eq!(
            range(facts(Some(91), 10, 90), Some(5)),
            (10, 10, Some(beyond))
        );
        assert_eq!(range(facts(Some(90), 10, 90), None), (90, 90, None));
        let deleted = StartReset::Deleted {
            committed: 9,
            first: 10,
        };
        assert_eq!(
            range(facts(Some(9), 10, 90), Some(5)),
            (10, 10, Some(deleted))
        );
    }

    #[test]
    fn a_commit_of_a_former_topic_says_nothing() {
        let mut former = facts(Some(50), 0, 90);
        former.metadata.topic = TopicId::new(0, 2);
        assert_eq!(
            range(former, Some(5)),
            (0, 0, Some(StartReset::TopicReplaced))
        );
        former.metadata.topic = TopicId::new(0, 1);
        assert_eq!(range(former, Some(5)), (45, 50, None));
        // A broker that knows no ids.
        former.metadata.topic = TopicId::new(0, 2);
        let (unknown, reset) = former.range(None, None);
        assert_eq!((unknown.from, reset), (Offset(50), None));
    }
}
