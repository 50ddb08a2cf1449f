//! Rebalances: the callbacks of librdkafka for a member of a group, where an assigned partition begins, and the calls that accept and
//! give back partitions, which depend on the protocol of the group.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset as KafkaOffset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    statistics::Topic,
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use tokio_util::sync::CancellationToken;

use super::{
    client::log,
    consumer::ConsumerEvent,
    permissions::{Permission, Refusals},
};
use crate::event::{Offset, Partition, TopicPartition, ViewStart};

/// What a missing permission prevents.
const CONSUMING_WAITS: &str = "nothing is consumed and committed until then";

/// How long one request may take while a rebalance is going on, and how often it is made. The group waits meanwhile, for
/// at most `max.poll.interval.ms` (5 minutes).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 3;

/// A partition that the group has just assigned to this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAssignment {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// What is consumed of it first, if that was asked for and the broker answered.
    pub range: Option<ConsumeRange>,
}

/// What is consumed of an assigned partition first: records that are only replayed, for its view, and then records that
/// were never handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumeRange {
    /// The first offset that is consumed; the committed one if there is nothing to replay.
    pub from: Offset,
    /// The committed offset: the records before it were handled before. 0 if there is none, or if it is that of a topic that
    /// was deleted since.
    pub committed: Offset,
    /// The end of the partition when it was assigned.
    pub end: Offset,
    /// The start of the view, as it was committed with the offset.
    pub view: Option<ViewStart>,
}

/// Partitions that are taken away from this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// Whether they have been taken away already, since the group took this member for dead: nothing of them can be committed
    /// any more. Otherwise they are taken away once the callback of [`Consumer::join`](super::Consumer::join) returns.
    pub is_lost: bool,
}

/// The progress of a partition, as far as librdkafka knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The committed offset, if the consumer committed one itself.
    pub committed: Option<Offset>,
    /// The number of records from the stored offset to the end.
    lag: Option<i64>,
    /// The offset after the last record that may be read.
    end: Option<Offset>,
}

impl PartitionProgress {
    /// Returns how many records are still to be handled, if that is known. Until an offset is stored, this is counted from
    /// the `committed` offset, which librdkafka does not look up for a partition whose first offset was set.
    #[must_use]
    pub fn lag(&self, committed: Option<Offset>) -> Option<i64> {
        let from_committed = || Some((self.end?.0 - committed?.0).max(0));
        self.lag.or_else(from_committed)
    }
}

/// The context of a consumer that is a member of a group.
pub(super) struct Membership {
    topic: Arc<str>,
    group: String,
    planner: ReplayPlanner,
    refusals: Refusals,
    on_revocation: Box<dyn Fn(&Revocation) + Send + Sync>,
    /// Whether `events` has any, so that polling for records takes no lock.
    has_events: AtomicBool,
    /// Events for the next poll to return.
    events: Mutex<VecDeque<ConsumerEvent<'static>>>,
    /// The permissions that are denied. librdkafka reports a denial once, and does not report its end.
    denied: Mutex<BTreeSet<Permission>>,
}

impl Membership {
    pub(super) fn new(
        topic: &Arc<str>,
        group: &str,
        planner: ReplayPlanner,
        refusals: Refusals,
        on_revocation: impl Fn(&Revocation) + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic: Arc::clone(topic),
            group: group.to_owned(),
            planner,
            refusals,
            on_revocation: Box::new(on_revocation),
            has_events: AtomicBool::new(false),
            events: Mutex::default(),
            denied: Mutex::default(),
        }
    }

    /// Takes the oldest event that a callback has left.
    pub(super) fn next_event(&self) -> Option<ConsumerEvent<'static>> {
        if !self.has_events.load(Ordering::Acquire) {
            return None;
        }
        let mut events = self.events.lock();
        let event = events.pop_front();
        self.has_events.store(!events.is_empty(), Ordering::Release);
        event
    }

    fn push_event(&self, event: ConsumerEvent<'static>) {
        let mut events = self.events.lock();
        events.push_back(event);
        self.has_events.store(true, Ordering::Release);
    }

    /// Returns whether an error says that the broker denies a permission, and logs that.
    pub(super) fn is_refused(&self, error: &KafkaError) -> bool {
        let Some(permission) = self.missing_permission(error) else {
            return false;
        };
        self.denied.lock().insert(permission.clone());
        self.refusals.refused(permission, CONSUMING_WAITS);
        true
    }

    fn missing_permission(&self, error: &KafkaError) -> Option<Permission> {
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::TopicAuthorizationFailed => Some(self.read_permission()),
            RDKafkaErrorCode::GroupAuthorizationFailed => Some(self.join_permission()),
            _ => None,
        }
    }

    fn note_granted(&self, permission: &Permission) {
        self.denied.lock().remove(permission);
        if self.refusals.are_there_any() {
            self.refusals.granted(permission);
        }
    }

    fn read_permission(&self) -> Permission {
        Permission::Read(self.topic.to_string())
    }

    fn join_permission(&self) -> Permission {
        Permission::Join(self.group.clone())
    }

    /// Keeps the denied permissions current, for as long as they are denied. The statistics have no end of a partition if the
    /// last fetch of it failed.
    fn check_denied(&self, topic: &Topic) {
        if self.denied.lock().is_empty() {
            return;
        }
        let mut fetched = topic
            .partitions
            .values()
            .filter(|one| one.desired)
            .peekable();
        if fetched.peek().is_some() && fetched.all(|one| one.hi_offset >= 0) {
            self.note_granted(&self.read_permission());
        }
        let denied = self.denied.lock().clone();
        for permission in denied {
            self.refusals.refused(permission, CONSUMING_WAITS);
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let assigned = self.planner.plan(consumer, list);
        match accept(consumer, list) {
            Ok(()) => {
                self.note_granted(&self.join_permission());
                self.push_event(ConsumerEvent::Assigned(assigned));
            }
            Err(error) => tracing::error!(%error, "cannot accept the assigned partitions"),
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let revocation = Revocation {
            partitions: topic_partitions(list),
            is_lost: consumer.assignment_lost(),
        };
        (self.on_revocation)(&revocation);
        self.push_event(ConsumerEvent::Revoked(revocation));
        // librdkafka would still have a paused partition paused when it comes back.
        let resumed = consumer.resume(list);
        if let Err(error) = resumed.and_then(|()| give_back(consumer, list)) {
            tracing::error!(%error, "cannot give back the revoked partitions");
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "consumer");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&*self.topic) else {
            return;
        };
        self.check_denied(topic);
        for (&number, statistics) in &topic.partitions {
            // librdkafka uses negative numbers for what it does not know, or does not own.
            let known = |offset: i64| Some(offset).filter(|&offset| offset >= 0);
            let progress = PartitionProgress {
                topic_partition: TopicPartition::new(Arc::clone(&self.topic), Partition(number)),
                committed: known(statistics.committed_offset).map(Offset),
                // By the stored offset: librdkafka's consumer knows nothing of offsets that transactions commit.
                lag: known(statistics.consumer_lag_stored),
                end: known(statistics.ls_offset).map(Offset),
            };
            self.push_event(ConsumerEvent::Progress(progress));
        }
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        use RDKafkaRespErr as What;
        match what {
            What::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            What::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            error => {
                let error = RDKafkaErrorCode::from(error);
                tracing::warn!(%error, "a rebalance failed; giving all partitions back to join the group again");
                self.revoke(consumer, list);
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let Err(error) = result else {
            self.note_granted(&self.join_permission());
            return self.note_granted(&self.read_permission());
        };
        match self.missing_permission(&error) {
            // The commit is tried again twice a second.
            Some(permission) => self.refusals.refused(permission, CONSUMING_WAITS),
            None if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            None => tracing::warn!(%error, "offsets were not committed; trying again"),
        }
    }
}

/// Plans where assigned partitions begin, so that their views can be restored.
pub(super) struct ReplayPlanner {
    /// How many records are replayed if no start of the view was committed with the offset. None to replay nothing.
    records: Option<u64>,
    /// Cancelled once the consumer is closing. It may still be assigned partitions then, but its requests to the broker fail.
    closing: CancellationToken,
}

impl ReplayPlanner {
    pub(super) fn new(records: Option<u64>, closing: CancellationToken) -> Self {
        Self { records, closing }
    }

    /// Asks the broker what to consume of each partition in the list, and sets where each begins. A partition about which the
    /// broker does not answer begins at its committed offset.
    fn plan<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) -> Vec<NewAssignment> {
        let Some(records) = self.records else {
            return unplanned(list);
        };
        if list.count() == 0 {
            return Vec::new();
        }
        for attempt in 1..=TRIES {
            if self.closing.is_cancelled() {
                return unplanned(list);
            }
            match try_plan(records, consumer, list) {
                Ok(assigned) => return assigned,
                Err(error) => {
                    tracing::warn!(%error, attempt, tries = TRIES, "cannot find out what to replay for the views of the assigned partitions");
                }
            }
        }
        tracing::error!(
            "the views of the assigned partitions start empty, and this instance does not become ready; restart it once \
             the broker answers"
        );
        unplanned(list)
    }
}

fn try_plan<C: ConsumerContext>(
    records: u64,
    consumer: &BaseConsumer<C>,
    list: &mut TopicPartitionList,
) -> KafkaResult<Vec<NewAssignment>> {
    let committed = consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT)?;
    // Kafka's ListOffsets accepts these two in place of a timestamp.
    let mut bounds = [KafkaOffset::Beginning, KafkaOffset::End].map(|bound| (bound, list.clone()));
    for (bound, asked) in &mut bounds {
        asked.set_all_offsets(*bound)?;
        *asked = consumer.offsets_for_times(asked.clone(), REQUEST_TIMEOUT)?;
    }
    let [(_, first), (_, end)] = bounds;
    let mut assigned = Vec::with_capacity(list.count());
    for one in committed.elements() {
        let (topic, number) = (one.topic(), one.partition());
        let [first, end] = [&first, &end].map(|bound| {
            let found = bound.find_partition(topic, number);
            found.map_or(Ok(None), |found| {
                found.error().map(|()| absolute(found.offset()))
            })
        });
        one.error()?;
        let range = range(records, &one, first?.unwrap_or(0), end?.unwrap_or(0));
        if range.from < range.committed {
            list.set_partition_offset(topic, number, KafkaOffset::Offset(range.from.0))?;
        }
        assigned.push(NewAssignment {
            topic_partition: TopicPartition::new(topic, Partition(number)),
            range: Some(range),
        });
    }
    Ok(assigned)
}

fn range(
    records: u64,
    committed: &TopicPartitionListElem<'_>,
    first: i64,
    end: i64,
) -> ConsumeRange {
    let view: Option<ViewStart> = committed.metadata().parse().ok();
    // An offset past the end is that of a topic that was deleted since: nothing of this one was handled.
    let committed = absolute(committed.offset()).filter(|&offset| offset <= end);
    let view = view.filter(|_| committed.is_some());
    let committed = committed.unwrap_or(0);
    let records = i64::try_from(records).unwrap_or(i64::MAX);
    let wanted = view.map_or(committed.saturating_sub(records), |view| view.offset.0);
    ConsumeRange {
        from: Offset(wanted.max(first).min(committed)),
        committed: Offset(committed),
        end: Offset(end),
        view,
    }
}

/// These partitions, which begin at their committed offset, or where `auto.offset.reset` says.
fn unplanned(list: &TopicPartitionList) -> Vec<NewAssignment> {
    let partitions = topic_partitions(list).into_iter();
    let unplanned = |topic_partition| NewAssignment {
        topic_partition,
        range: None,
    };
    partitions.map(unplanned).collect()
}

/// Accepts assigned partitions, as the protocol of the group has it.
fn accept<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}

/// Gives back revoked partitions. In an eager protocol these are all that the member has.
fn give_back<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

fn topic_partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let each = list.elements();
    each.iter()
        .map(|one| TopicPartition::new(one.topic(), Partition(one.partition())))
        .collect()
}

/// Returns the offset if it is absolute, not relative such as "beginning".
fn absolute(offset: KafkaOffset) -> Option<i64> {
    match offset {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    }
}
