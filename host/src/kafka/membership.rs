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
    types::RDKafkaRespErr,
};

use super::{
    Notice,
    client::log,
    rebalance::{Restore, give_back, partitions, take, unplanned},
};
use crate::event::{Offset, Partition};

/// The context of a consumer that is a member of a group.
pub(super) struct Membership {
    topic: Arc<str>,
    restore: Option<Restore>,
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
}

impl Membership {
    pub(super) fn new(
        topic: &Arc<str>,
        restore: Option<Restore>,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic: Arc::clone(topic),
            restore,
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

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let assigned = match self.restore {
            Some(restore) => restore.plan(consumer, list),
            None => unplanned(list),
        };
        let committed = assigned
            .iter()
            .filter_map(|one| Some((one.partition, one.stretch?.committed)));
        self.known().committed.extend(committed);
        match take(consumer, list) {
            Ok(()) => (self.notify)(Notice::Assigned(assigned)),
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
        match result.as_ref().map_err(KafkaError::rdkafka_error_code) {
            Ok(()) | Err(Some(RDKafkaErrorCode::NoOffset)) => {}
            Err(_) => tracing::warn!(?result, "offsets are not committed; trying again"),
        }
    }
}
