//! What the client of a group member is told, and passes on: rebalances, lag, lines for the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    statistics::Topic,
    types::RDKafkaRespErr,
};
use tokio_util::sync::CancellationToken;

use super::{
    Notice,
    client::log,
    rebalance::{Restore, give_back, partitions, take, unplanned},
};
use crate::{
    event::{Offset, Partition},
    refusals::{Permission, Refusals},
};

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
