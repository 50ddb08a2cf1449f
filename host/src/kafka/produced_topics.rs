//! The topics that are missing, and a watch on those that the daemon produces to. One of these that disappears is created again, as at the start; while that
//! fails, the daemon is not ready and says which topic it lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use super::{Cluster, Error, admin::TopicAdmin};
use crate::event::TopicPartition;

/// How often the broker is asked whether the topics exist.
const INTERVAL: Duration = Duration::from_secs(2);

/// Interval at which a continuing fault is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Time for which a rejection counts that is not repeated: the partition that waits may have gone to another instance.
const REJECTED_FOR: Duration = Duration::from_secs(30);

/// Most topics of handlers that are watched.
const MAX_OTHERS: usize = 100;

/// The topics that the daemon produces to, and those of them that records wait for. Cheap to clone; all clones share the
/// same topics.
#[derive(Clone, Default)]
pub struct ProducedTopics {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Never held across an await.
    topics: Mutex<Topics>,
    /// Whether a topic is missing, or a partition waits.
    has_faults: AtomicBool,
    /// Wakes the watch before its next turn.
    wanted: Notify,
}

#[derive(Default)]
struct Topics {
    /// Topics of handlers, which are not created again because the daemon has not created them.
    others: BTreeSet<String>,
    /// The topics that are missing.
    missing: BTreeMap<String, Fault>,
    /// The partitions that wait because a topic rejects a dead letter.
    waiting: BTreeMap<TopicPartition, Fault>,
}

struct Fault {
    topic: String,
    why: String,
    noted: Instant,
    logged: Instant,
}

/// The number of partitions of a topic, as far as a partition may be chosen by it. It only goes down, when a topic with fewer
/// partitions takes the place of the former one: if it went up with each partition that is added, records without a key would
/// lose their order. Cheap to clone; all clones share the number.
#[derive(Clone, Debug)]
pub struct PartitionCount(Arc<AtomicI32>);

impl PartitionCount {
    /// Makes a number of partitions.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self(Arc::new(AtomicI32::new(partitions)))
    }

    /// Returns the number, which is at least 1.
    #[must_use]
    pub fn get(&self) -> i32 {
        self.0.load(Relaxed).max(1)
    }

    fn lower(&self, topic: &str, partitions: i32) {
        let before = match partitions {
            0 => return,
            _ => self.0.fetch_min(partitions, Relaxed),
        };
        if partitions < before {
            tracing::warn!(
                topic,
                before,
                partitions,
                "a topic has fewer partitions than before, so it was created again"
            );
        }
    }
}

/// A topic that records wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFault {
    /// Name of the topic.
    pub topic: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for TopicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}: {}", self.topic, self.why)
    }
}

impl ProducedTopics {
    /// Watches `own`, which are created again if they disappear, until the future is dropped. Lowers the number of partitions
    /// of one that has fewer than before.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub async fn run(
        &self,
        cluster: &Cluster,
        own: &[(String, PartitionCount)],
    ) -> Result<(), Error> {
        let admin = TopicAdmin::new(cluster)?;
        loop {
            for (topic, partitions) in own {
                self.check_own(&admin, topic, partitions).await;
            }
            let others = self.shared.topics.lock().others.clone();
            for topic in others {
                self.check_other(&admin, &topic).await;
            }
            // It ends by itself, or when a worker waits for a topic.
            let _ = timeout(INTERVAL, self.shared.wanted.notified()).await;
        }
    }

    /// Returns whether a topic is known to be missing.
    #[must_use]
    pub fn is_missing(&self, topic: &str) -> bool {
        if !self.shared.has_faults.load(Relaxed) {
            return false;
        }
        self.shared.topics.lock().missing.contains_key(topic)
    }

    /// Asks the broker soon whether these topics exist.
    pub fn request_check<'t>(&self, of: impl IntoIterator<Item = &'t str>) {
        let mut topics = self.shared.topics.lock();
        for topic in of {
            if topics.others.len() < MAX_OTHERS && !topics.others.contains(topic) {
                topics.others.insert(topic.to_owned());
            }
        }
        drop(topics);
        self.shared.wanted.notify_one();
    }

    /// Takes note that a topic rejects the dead letter of a record, whose partition waits.
    pub fn note_rejection(&self, topic: &str, partition: &TopicPartition, why: &str) {
        let mut topics = self.shared.topics.lock();
        let fault = Fault::new(topic, why, topics.waiting.get(partition));
        topics.waiting.insert(partition.clone(), fault);
        self.shared.has_faults.store(true, Relaxed);
    }

    /// Takes note that a partition does not wait.
    pub fn note_delivered(&self, partition: &TopicPartition) {
        if self.shared.has_faults.load(Relaxed) {
            let mut topics = self.shared.topics.lock();
            if topics.waiting.remove(partition).is_some() {
                tracing::info!(%partition, "a partition no longer waits for a topic");
            }
            self.update(&topics);
        }
    }

    /// Returns the topics that records wait for.
    #[must_use]
    pub fn faults(&self) -> Vec<TopicFault> {
        let mut topics = self.shared.topics.lock();
        // A rejection that is not repeated is of a partition that has gone to another instance.
        topics
            .waiting
            .retain(|_, fault| fault.noted.elapsed() < REJECTED_FOR);
        self.update(&topics);
        let all = topics.missing.values().chain(topics.waiting.values());
        let all = all.map(|fault| TopicFault {
            topic: fault.topic.clone(),
            why: fault.why.clone(),
        });
        all.collect()
    }

    async fn check_own(&self, admin: &TopicAdmin, topic: &str, partitions: &PartitionCount) {
        match admin.partitions(topic).await {
            Ok(Some(count)) => {
                partitions.lower(topic, count);
                self.clear_missing(topic);
            }
            Ok(None) => {
                if !self.is_missing(topic) {
                    tracing::warn!(topic, "a topic does not exist any more; creating it again");
                }
                match admin.create(topic).await {
                    Ok(()) => self.clear_missing(topic),
                    Err(error) => {
                        let why = format!(
                            "it does not exist, and it cannot be created: {}",
                            in_one_line(&error)
                        );
                        self.note_missing(topic, &why);
                    }
                }
            }
            // A broker that does not respond is reported elsewhere.
            Err(error) => tracing::debug!(%error, topic, "cannot ask whether a topic exists"),
        }
    }

    async fn check_other(&self, admin: &TopicAdmin, topic: &str) {
        match admin.partitions(topic).await {
            Ok(Some(_)) => {
                self.shared.topics.lock().others.remove(topic);
                self.clear_missing(topic);
            }
            Ok(None) => self.note_missing(topic, "it does not exist; create it by hand"),
            Err(error) => tracing::debug!(%error, topic, "cannot ask whether a topic exists"),
        }
    }

    /// Takes note that a topic is missing, and why that does not end by itself.
    pub fn note_missing(&self, topic: &str, why: &str) {
        let mut topics = self.shared.topics.lock();
        let fault = Fault::new(topic, why, topics.missing.get(topic));
        topics.missing.insert(topic.to_owned(), fault);
        self.shared.has_faults.store(true, Relaxed);
    }

    /// Takes note that a topic exists.
    pub fn clear_missing(&self, topic: &str) {
        let mut topics = self.shared.topics.lock();
        if topics.missing.remove(topic).is_some() {
            tracing::info!(topic, "a topic that was missing exists");
            self.update(&topics);
        }
    }

    fn update(&self, topics: &Topics) {
        let has_faults = !topics.missing.is_empty() || !topics.waiting.is_empty();
        self.shared.has_faults.store(has_faults, Relaxed);
    }
}

impl Fault {
    /// Makes a fault after the one `before`, and logs it if it is another one or was not logged for a while.
    fn new(topic: &str, why: &str, before: Option<&Self>) -> Self {
        let now = Instant::now();
        let continues =
            before.filter(|before| before.why == why && now - before.logged < LOG_INTERVAL);
        if continues.is_none() {
            tracing::error!(topic, why, "records wait for a topic");
        }
        Self {
            topic: topic.to_owned(),
            why: why.to_owned(),
            noted: now,
            logged: continues.map_or(now, |before| before.logged),
        }
    }
}

fn in_one_line(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Partition;

    #[test]
    fn a_partition_waits_until_it_is_delivered() {
        let watch = ProducedTopics::default();
        let [waiting, other] = [0, 1].map(|partition| TopicPartition {
            topic: "eventos".into(),
            partition: Partition(partition),
        });
        watch.note_delivered(&waiting);
        assert_eq!(watch.faults(), []);
        watch.clone().note_rejection("t", &waiting, "no key");
        assert!(!watch.is_missing("t"));
        watch.note_delivered(&other);
        let why = "no key".to_owned();
        let topic = "t".to_owned();
        assert_eq!(watch.faults(), [TopicFault { topic, why }]);
        watch.note_delivered(&waiting);
        assert_eq!(watch.faults(), []);
    }

    #[test]
    fn a_bounded_number_of_topics_of_handlers_is_watched() {
        let watch = ProducedTopics::default();
        let names: Vec<_> = (0..MAX_OTHERS + 10).map(|i| i.to_string()).collect();
        watch.request_check(names.iter().map(String::as_str));
        assert_eq!(watch.shared.topics.lock().others.len(), MAX_OTHERS);
    }
}
