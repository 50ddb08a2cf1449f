//! Rebalances: the callbacks of librdkafka for a member of a group, and the calls that accept and give back partitions, which
//! depend on the protocol of the group.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    statistics::{Broker, Topic},
    types::RDKafkaRespErr,
};

use super::{
    client::log,
    consumer::ConsumerEvent,
    native::set_held,
    permissions::{Permission, Refusals},
    plan::StartPlanner,
    responses::ResponseMonitor,
};
use crate::event::{Offset, Partition, TopicId, TopicPartition};

/// What a missing permission prevents.
const CONSUMING_WAITS: &str = "nothing is consumed and committed until then";

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
    /// The offset after the last record that may be read.
    pub end: Option<Offset>,
    /// The offset that is fetched next, if the broker that has the partition is connected.
    pub fetching: Option<Offset>,
}

/// The context of a consumer that is a member of a group.
pub(super) struct Membership {
    topic: Arc<str>,
    group: String,
    planner: StartPlanner,
    refusals: Refusals,
    on_revocation: Box<dyn Fn(&Revocation) + Send + Sync>,
    /// Whether `events` has any, so that polling for records takes no lock.
    has_events: AtomicBool,
    /// Events for the next poll to return.
    events: Mutex<VecDeque<ConsumerEvent<'static>>>,
    /// The permissions that are denied. librdkafka reports a denial once, and does not report its end.
    denied: Mutex<BTreeSet<Permission>>,
    responses: Mutex<ResponseMonitor>,
    /// Whether a broker was connected at the last statistics.
    is_connected: AtomicBool,
}

impl Membership {
    pub(super) fn new(
        topic: &Arc<str>,
        group: &str,
        planner: StartPlanner,
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
            responses: Mutex::default(),
            is_connected: AtomicBool::new(true),
        }
    }

    /// The id of the topic that is consumed, once it is known.
    pub(super) fn topic_id(&self) -> Option<TopicId> {
        self.planner.topic_id()
    }

    /// Returns whether a broker is connected, as far as is known.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
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

    pub(super) fn push_event(&self, event: ConsumerEvent<'static>) {
        let mut events = self.events.lock();
        events.push_back(event);
        self.has_events.store(true, Ordering::Release);
    }

    /// Returns whether an error says that the broker denies a permission, and logs that.
    pub(super) fn is_refused(&self, code: RDKafkaErrorCode) -> bool {
        let Some(permission) = self.missing_permission(code) else {
            return false;
        };
        self.denied.lock().insert(permission.clone());
        self.refusals.refused(permission, CONSUMING_WAITS);
        true
    }

    fn missing_permission(&self, code: RDKafkaErrorCode) -> Option<Permission> {
        match code {
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
        match self.planner.begin(consumer, list) {
            Ok(assigned) => {
                self.note_granted(&self.join_permission());
                self.push_event(ConsumerEvent::Assigned(assigned));
                if self.planner.is_topic_replaced() {
                    self.push_event(ConsumerEvent::TopicReplaced);
                }
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
        // What was kept of a held partition is thrown away when the queue of the consumer is polled.
        for partition in topic_partitions(list) {
            set_held(consumer, &partition, false);
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
        if let Some(responding) = self.responses.lock().observe(&statistics) {
            self.push_event(ConsumerEvent::Responding(responding));
        }
        let is_connected = statistics.brokers.values().any(is_up);
        self.is_connected.store(is_connected, Ordering::Relaxed);
        let Some(topic) = statistics.topics.get(&*self.topic) else {
            return;
        };
        self.check_denied(topic);
        let is_node_up = |id| {
            let mut brokers = statistics.brokers.values();
            brokers.any(|broker| broker.nodeid == id && is_up(broker))
        };
        for (&number, partition) in &topic.partitions {
            // librdkafka uses negative numbers for what it does not know, or does not own.
            let known = |offset: i64| Some(offset).filter(|&offset| offset >= 0);
            let progress = PartitionProgress {
                topic_partition: TopicPartition::new(Arc::clone(&self.topic), Partition(number)),
                committed: known(partition.committed_offset).map(Offset),
                end: known(partition.ls_offset).map(Offset),
                fetching: known(partition.next_offset)
                    .filter(|_| is_node_up(partition.broker))
                    .map(Offset),
            };
            self.push_event(ConsumerEvent::Progress(progress));
        }
    }
}

fn is_up(broker: &Broker) -> bool {
    broker.state == "UP"
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
        let code = error.rdkafka_error_code();
        match code.and_then(|code| self.missing_permission(code)) {
            // The commit is tried again twice a second.
            Some(permission) => self.refusals.refused(permission, CONSUMING_WAITS),
            None if code == Some(RDKafkaErrorCode::NoOffset) => {}
            None => tracing::warn!(%error, "offsets were not committed; trying again"),
        }
    }
}

/// Accepts assigned partitions, as the protocol of the group has it.
pub(super) fn accept<C: ConsumerContext>(
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

pub(super) fn topic_partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let each = list.elements();
    each.iter()
        .map(|one| TopicPartition::new(one.topic(), Partition(one.partition())))
        .collect()
}
