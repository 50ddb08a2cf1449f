//! Watches the topic that is consumed, from a thread of its own: whether it exists, whether another topic has taken its place,
//! and the ends of the partitions that are paused.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList, consumer::Consumer as _, error::KafkaResult,
};

use super::{
    consumer::{ConsumerEvent, PausedPartitions},
    native::{ConsumerQueue, TopicDescription, describe_topic},
    rebalance::{Membership, PartitionProgress},
};
use crate::event::{Offset, Partition, TopicPartition};

/// Pause between two looks at the topic.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long one request may take. Dropping a consumer may have to wait for two.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The thread that watches. It ends when this is dropped.
pub(super) struct TopicWatch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Watcher {
    queue: Arc<ConsumerQueue<Membership>>,
    topic: Arc<str>,
    paused: Arc<PausedPartitions>,
    /// Whether the topic existed at the last look.
    exists: bool,
    /// Whether another topic has been seen to take its place, after which there is nothing more to watch.
    is_replaced: bool,
}

impl TopicWatch {
    pub(super) fn start(
        queue: Arc<ConsumerQueue<Membership>>,
        topic: Arc<str>,
        paused: Arc<PausedPartitions>,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let mut watcher = Watcher {
            queue,
            topic,
            paused,
            exists: true,
            is_replaced: false,
        };
        let run = move || {
            while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A request without a broker would have librdkafka connect again and again without its pauses between.
                if watcher.membership().is_connected() {
                    watcher.look_at_topic();
                    watcher.look_at_paused();
                }
            }
        };
        let named = thread::Builder::new().name("topic-watch".to_owned());
        let thread = named.spawn(run).expect("the system has a thread for it");
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for TopicWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!(?panic, "the thread that watches the topic panicked");
        }
    }
}

impl Watcher {
    fn membership(&self) -> &Arc<Membership> {
        self.queue.client().client().context()
    }

    fn look_at_topic(&mut self) {
        let membership = Arc::clone(self.membership());
        let described = describe_topic(self.queue.client().client(), &self.topic, REQUEST_TIMEOUT);
        let described = match described {
            Ok(described) => described,
            // The broker is gone, or denies the permission, which consuming the topic reports as well.
            Err(error) => return tracing::debug!(%error, "cannot describe the topic"),
        };
        if described.is_some() != self.exists {
            self.exists = described.is_some();
            membership.push_event(ConsumerEvent::TopicExists(self.exists));
        }
        let Some(TopicDescription { id: Some(id), .. }) = described else {
            return;
        };
        if !self.is_replaced && membership.topic_id().is_some_and(|known| known != id) {
            self.is_replaced = true;
            membership.push_event(ConsumerEvent::TopicReplaced);
        }
    }

    fn look_at_paused(&self) {
        let paused = self.paused.lock().clone();
        if paused.is_empty() {
            return;
        }
        match self.ends(paused.iter()) {
            Ok(ends) => {
                let membership = self.membership();
                for (topic_partition, end) in ends {
                    membership.push_event(ConsumerEvent::Progress(PartitionProgress {
                        topic_partition,
                        committed: None,
                        end: Some(end),
                        fetching: None,
                    }));
                }
            }
            Err(error) => tracing::debug!(%error, "cannot ask for the ends of paused partitions"),
        }
    }

    fn ends<'p>(
        &self,
        partitions: impl Iterator<Item = &'p TopicPartition>,
    ) -> KafkaResult<Vec<(TopicPartition, Offset)>> {
        let mut list = TopicPartitionList::new();
        for TopicPartition { topic, partition } in partitions {
            // Kafka's ListOffsets accepts this in place of a timestamp.
            list.add_partition_offset(topic, partition.0, KafkaOffset::End)?;
        }
        let ends = self
            .queue
            .client()
            .offsets_for_times(list, REQUEST_TIMEOUT)?;
        let ends = ends
            .elements()
            .into_iter()
            .filter_map(|one| match one.offset() {
                KafkaOffset::Offset(end) if one.error().is_ok() => {
                    let partition = TopicPartition::new(one.topic(), Partition(one.partition()));
                    Some((partition, Offset(end)))
                }
                _ => None,
            });
        Ok(ends.collect())
    }
}
