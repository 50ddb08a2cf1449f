//! Rebalances: what the client of a group member is told and passes on, where each partition that was assigned begins,
//! and the call that takes it or gives it back, which differs with the group's protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset as At, Statistics, TopicPartitionList,
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
    permissions::{Permission, Refusals},
};
use crate::event::{Offset, Partition, ViewStart};

/// What the group, or the client, has to say between records. It is told from inside
/// [`Consumer::poll`].
#[derive(Clone, Debug)]
pub enum Notice {
    /// These partitions are ours now, too.
    Assigned(Vec<Beginning>),
    /// These partitions are about to be taken away: whoever works on them has until this notice
    /// returns to store the last offsets.
    Revoking(Vec<Partition>),
    /// These partitions were taken away, for the group took this member for dead: whoever works on them may stop, for
    /// nothing of it can be committed any more.
    Lost(Vec<Partition>),
    /// How many records of a partition are yet to be handled.
    Lag(Partition, i64),
}

/// What becomes of it when the broker does not permit to consume.
const CONSUMING_WAITS: &str = "nothing is consumed and committed until then";

/// The context of a consumer that is a member of a group.
pub(super) struct Membership {
    topic: Arc<str>,
    group: String,
    restore: Option<Restore>,
    /// Nothing is consumed any more.
    over: CancellationToken,
    refusals: Refusals,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
    // A std mutex, held for a look or a change.
    known: Mutex<Known>,
}

/// What is known of partitions that are ours.
#[derive(Default)]
struct Known {
    /// librdkafka would still have them paused when they come back.
    paused: BTreeSet<Partition>,
    /// What was committed when they were assigned; librdkafka does not look for it where it is told where to begin.
    committed: BTreeMap<Partition, Offset>,
    /// What the broker refuses: librdkafka tells that once, and that it does no longer not at all.
    refused: BTreeSet<Permission>,
}

impl Membership {
    pub(super) fn new(
        topic: &Arc<str>,
        group: &str,
        restore: Option<Restore>,
        over: CancellationToken,
        refusals: Refusals,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic: Arc::clone(topic),
            group: group.to_owned(),
            restore,
            over,
            refusals,
            notify: Box::new(notify),
            known: Mutex::default(),
        }
    }

    /// Says whether a partition is paused.
    pub(super) fn paused(&self, partition: Partition, paused: bool) {
        let known = &mut self.known().paused;
        match paused {
            true => known.insert(partition),
            false => known.remove(&partition),
        };
    }

    /// Whether an error says that the broker does not permit something, of which the log is told here.
    pub(super) fn is_refused(&self, error: &KafkaError) -> bool {
        let Some(permission) = self.lacking(error) else {
            return false;
        };
        self.known().refused.insert(permission.clone());
        self.refusals.refused(permission, CONSUMING_WAITS);
        true
    }

    fn lacking(&self, error: &KafkaError) -> Option<Permission> {
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::TopicAuthorizationFailed => Some(self.read()),
            RDKafkaErrorCode::GroupAuthorizationFailed => Some(self.join()),
            _ => None,
        }
    }

    fn granted(&self, permission: &Permission) {
        self.known().refused.remove(permission);
        if self.refusals.are_there_any() {
            self.refusals.granted(permission);
        }
    }

    fn read(&self) -> Permission {
        Permission::Read(self.topic.to_string())
    }

    fn join(&self) -> Permission {
        Permission::Join(self.group.clone())
    }

    /// What was refused and is so still counts on. Of a fetch that failed the statistics tell no end of the partition.
    fn look_for_refusals(&self, topic: &Topic) {
        let refused = self.known().refused.clone();
        if refused.is_empty() {
            return;
        }
        let mut fetched = topic
            .partitions
            .values()
            .filter(|one| one.desired)
            .peekable();
        if fetched.peek().is_some() && fetched.all(|one| one.hi_offset >= 0) {
            self.granted(&self.read());
        }
        for permission in self.known().refused.clone() {
            self.refusals.refused(permission, CONSUMING_WAITS);
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let assigned = match self.restore {
            Some(restore) => restore.plan(consumer, list, &self.over),
            None => unplanned(list),
        };
        let committed = assigned
            .iter()
            .filter_map(|one| Some((one.partition, one.stretch?.committed)));
        self.known().committed.extend(committed);
        match take(consumer, list) {
            Ok(()) => {
                self.granted(&self.join());
                (self.notify)(Notice::Assigned(assigned));
            }
            Err(error) => tracing::error!(%error, "the assigned partitions cannot be taken"),
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let revoked = partitions(list);
        (self.notify)(match consumer.assignment_lost() {
            true => Notice::Lost(revoked.clone()),
            false => Notice::Revoking(revoked.clone()),
        });
        let mut paused = TopicPartitionList::new();
        {
            let mut known = self.known();
            for partition in &revoked {
                known.committed.remove(partition);
                if known.paused.remove(partition) {
                    paused.add_partition(&self.topic, partition.0);
                }
            }
        }
        let resumed = consumer.resume(&paused);
        if let Err(error) = resumed.and_then(|()| give_back(consumer, list)) {
            tracing::error!(%error, "the revoked partitions cannot be given back");
        }
    }

    /// How many records of a partition are yet to be handled, if that is known.
    fn lag(&self, partition: Partition, about: &rdkafka::statistics::Partition) -> Option<i64> {
        // By the offset that was stored, for of what transactions commit librdkafka's consumer knows nothing. It answers
        // -1 for what it does not know, or does not own.
        if about.consumer_lag_stored >= 0 {
            return Some(about.consumer_lag_stored);
        }
        let committed = self.known().committed.get(&partition).copied()?;
        (about.ls_offset >= 0).then(|| (about.ls_offset - committed.0).max(0))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.look_for_refusals(topic);
        for (&number, about) in &topic.partitions {
            let partition = Partition(number);
            if let Some(lag) = self.lag(partition, about) {
                (self.notify)(Notice::Lag(partition, lag));
            }
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
                tracing::warn!(%error, "the rebalance failed; giving everything back to join again");
                self.revoke(consumer, list);
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let Err(error) = result else {
            self.granted(&self.join());
            return self.granted(&self.read());
        };
        match self.lacking(&error) {
            // It is tried again twice a second.
            Some(permission) => self.refusals.refused(permission, CONSUMING_WAITS),
            None if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            None => tracing::warn!(%error, "offsets are not committed; trying again"),
        }
    }
}

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
