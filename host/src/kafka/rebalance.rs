//! What becomes of a rebalance: where each partition that was assigned begins, and the call that takes it or gives it
//! back, which differs with the group's protocol.

use std::time::Duration;

use rdkafka::{
    Offset as At, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::KafkaResult,
    topic_partition_list::TopicPartitionListElem,
};

use tokio_util::sync::CancellationToken;

use crate::event::{Offset, Partition, ViewStart};

/// How long one request may take, and how often they are made. The group waits meanwhile, within
/// `max.poll.interval.ms` (5 minutes).
const REQUEST: Duration = Duration::from_secs(10);
const TRIES: u32 = 3;

/// A partition that is ours now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Which.
    pub partition: Partition,
    /// What is consumed of it, where that was asked for and could be found out.
    pub stretch: Option<Stretch>,
}

/// What is consumed of a partition to begin with: first what is only replayed, for the view of it, then what nobody has
/// handled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first offset that is consumed; the committed one where there is nothing to replay.
    pub from: Offset,
    /// The committed offset: what is before it was handled before. 0 where none is, or one of a topic that is no more.
    pub committed: Offset,
    /// Where the partition ended when it was assigned.
    pub end: Offset,
    /// What was committed along with the offset.
    pub view: Option<ViewStart>,
}

/// How far back a replay goes where nothing was committed along with an offset: so many records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restore(pub u64);

impl Restore {
    /// Finds out what is to be consumed of each of these partitions, and sets where to begin. A partition of which that
    /// cannot be found out begins at its committed offset, as it would by itself. Not once it is `over`: a consumer that
    /// is being closed still hears of what is assigned to it, and has no answer to these questions any more.
    pub(super) fn plan<C: ConsumerContext>(
        self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
        over: &CancellationToken,
    ) -> Vec<Beginning> {
        if list.count() == 0 {
            return Vec::new();
        }
        for attempt in 1..=TRIES {
            if over.is_cancelled() {
                return unplanned(list);
            }
            match self.try_plan(consumer, list) {
                Ok(assigned) => return assigned,
                Err(error) => {
                    tracing::warn!(%error, attempt, tries = TRIES, "cannot find out what to restore");
                }
            }
        }
        tracing::error!(
            "the view of these partitions starts empty, and this instance does not become ready; restart it once the \
             broker answers"
        );
        unplanned(list)
    }

    fn try_plan<C: ConsumerContext>(
        self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<Vec<Beginning>> {
        let committed = consumer.committed_offsets(list.clone(), REQUEST)?;
        // Kafka's ListOffsets takes these two in place of a time.
        let mut bounds = [At::Beginning, At::End].map(|bound| (bound, list.clone()));
        for (bound, asked) in &mut bounds {
            asked.set_all_offsets(*bound)?;
            *asked = consumer.offsets_for_times(asked.clone(), REQUEST)?;
        }
        let [(_, first), (_, end)] = bounds;
        let mut assigned = Vec::with_capacity(list.count());
        for one in committed.elements() {
            let (topic, number) = (one.topic(), one.partition());
            let [first, end] = [&first, &end].map(|bound| {
                let found = bound.find_partition(topic, number);
                found.map_or(Ok(None), |found| {
                    found.error().map(|()| raw(found.offset()))
                })
            });
            one.error()?;
            let stretch = self.stretch(&one, first?.unwrap_or(0), end?.unwrap_or(0));
            if stretch.from < stretch.committed {
                list.set_partition_offset(topic, number, At::Offset(stretch.from.0))?;
            }
            assigned.push(Beginning {
                partition: Partition(number),
                stretch: Some(stretch),
            });
        }
        Ok(assigned)
    }

    fn stretch(self, committed: &TopicPartitionListElem<'_>, first: i64, end: i64) -> Stretch {
        let view: Option<ViewStart> = committed.metadata().parse().ok();
        // Past the end it is of a topic that was deleted since: of what is there now, nothing was handled.
        let committed = raw(committed.offset()).filter(|&offset| offset <= end);
        let view = view.filter(|_| committed.is_some());
        let committed = committed.unwrap_or(0);
        let back = i64::try_from(self.0).unwrap_or(i64::MAX);
        let wanted = view.map_or(committed.saturating_sub(back), |view| view.offset.0);
        Stretch {
            from: Offset(wanted.max(first).min(committed)),
            committed: Offset(committed),
            end: Offset(end),
            view,
        }
    }
}

/// These partitions, begun wherever the group or `auto.offset.reset` has it.
pub(super) fn unplanned(list: &TopicPartitionList) -> Vec<Beginning> {
    let each = partitions(list).into_iter();
    each.map(|partition| Beginning {
        partition,
        stretch: None,
    })
    .collect()
}

/// Takes what was assigned, in the way of the group's protocol.
pub(super) fn take<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}

/// Gives back what is revoked; with an eager protocol that is all there is.
pub(super) fn give_back<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let each = list.elements();
    each.iter().map(|one| Partition(one.partition())).collect()
}

/// An offset that is one, not one of librdkafka's words.
fn raw(offset: At) -> Option<i64> {
    match offset {
        At::Offset(offset) => Some(offset),
        _ => None,
    }
}
