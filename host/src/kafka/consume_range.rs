//! What is consumed of a partition first, given what the broker says about it.

use crate::event::{CommitMetadata, Offset, TopicId, TopicPartition, ViewStart};

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

/// What the broker says about an assigned partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionFacts {
    /// The offset that the group has committed.
    pub(super) committed: Option<i64>,
    pub(super) metadata: CommitMetadata,
    /// The oldest offset that the broker has.
    pub(super) first: i64,
    pub(super) end: i64,
}

/// Why a partition does not begin where the group left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartReset {
    /// The committed offset is one of a former topic with the same name.
    TopicReplaced,
    /// The committed offset lies beyond the end of the partition.
    BeyondEnd { committed: i64, end: i64 },
    /// The records from the committed offset to the first one were deleted before they were handled.
    Deleted { committed: i64, first: i64 },
}

impl PartitionFacts {
    /// Returns what is consumed first, and why that is not where the group left the partition.
    pub(super) fn range(
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
    pub(super) fn log(self, partition: &TopicPartition, from: Offset) {
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
