//! The topics that are missing, and a watch on those that the daemon produces to. One of these that disappears is created
//! again, as at the start; while that fails, the daemon is not ready and says which topic it lacks.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Cluster, Error, admin::TopicAdmin};
use crate::event::TopicPartition;

/// How often the broker is asked whether the topics exist.
const INTERVAL: Duration = Duration::from_secs(2);

/// Interval at which a continuing fault is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Time for which a record counts as waiting that does not ask again: its partition may have gone to another instance, or
/// its handler may have been replaced.
const WAITS_FOR: Duration = Duration::from_secs(30);

/// Maximum number of topics of handlers that are watched.
const MAX_OTHERS: usize = 1_000;

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
    /// Topics of handlers, and when a record last waited for each. They are not created again because the daemon has not
    /// created them.
    others: BTreeMap<String, Instant>,
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
            match self.check_all(&admin, own).await {
                // The pause ends early when a worker waits for a topic.
                Ok(()) => drop(timeout(INTERVAL, self.shared.wanted.notified()).await),
                Err(error) => {
                    // A broker that does not respond is reported elsewhere. Asking sooner would only cost CPU time.
                    tracing::debug!(%error, "cannot ask whether topics exist");
                    sleep(INTERVAL).await;
                }
            }
        }
    }

    async fn check_all(
        &self,
        admin: &TopicAdmin,
        own: &[(String, PartitionCount)],
    ) -> Result<(), Error> {
        for (topic, partitions) in own {
            self.check_own(admin, topic, partitions).await?;
        }
        for topic in self.others(own) {
            self.check_other(admin, &topic).await?;
        }
        Ok(())
    }

    /// Returns the topics of handlers that records wait for, and forgets the others.
    fn others(&self, own: &[(String, PartitionCount)]) -> Vec<String> {
        let mut topics = self.shared.topics.lock();
        let Topics {
            others, missing, ..
        } = &mut *topics;
        others.retain(|topic, asked| {
            if own.iter().any(|(own, _)| own == topic) {
                return false;
            }
            let is_wanted = asked.elapsed() < WAITS_FOR;
            if !is_wanted && missing.remove(topic).is_some() {
                tracing::info!(topic, "no record waits for a missing topic any more");
            }
            is_wanted
        });
        let others = others.keys().cloned().collect();
        self.update(&topics);
        others
    }

    /// Returns whether a topic is known to be missing. A caller whose record waits for it asks again and again: a topic of a
    /// handler is watched only as long as that goes on.
    #[must_use]
    pub fn is_missing(&self, topic: &str) -> bool {
        if !self.shared.has_faults.load(Relaxed) {
            return false;
        }
        let mut topics = self.shared.topics.lock();
        if let Some(asked) = topics.others.get_mut(topic) {
            *asked = Instant::now();
        }
        topics.missing.contains_key(topic)
    }

    /// Asks the broker soon whether these topics exist.
    pub fn request_check<'t>(&self, of: impl IntoIterator<Item = &'t str>) {
        let mut topics = self.shared.topics.lock();
        for topic in of {
            if topics.others.len() < MAX_OTHERS || topics.others.contains_key(topic) {
                topics.others.insert(topic.to_owned(), Instant::now());
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
            .retain(|_, fault| fault.noted.elapsed() < WAITS_FOR);
        self.update(&topics);
        let all = topics.missing.values().chain(topics.waiting.values());
        let all = all.map(|fault| TopicFault {
            topic: fault.topic.clone(),
            why: fault.why.clone(),
        });
        all.collect()
    }

    async fn check_own(
        &self,
        admin: &TopicAdmin,
        topic: &str,
        partitions: &PartitionCount,
    ) -> Result<(), Error> {
        if let Some(count) = admin.partitions(topic).await? {
            partitions.lower(topic, count);
            self.clear_missing(topic);
            return Ok(());
        }
        if !self.is_missing(topic) {
            tracing::warn!(topic, "a topic does not exist any more; creating it again");
        }
        match admin.create(topic).await {
            Ok(()) => self.clear_missing(topic),
            Err(error) => {
                let why = format!(
                    "it does not exist, and it cannot be created: {}",
                    error.in_one_line()
                );
                self.note_missing(topic, &why);
            }
        }
        Ok(())
    }

    async fn check_other(&self, admin: &TopicAdmin, topic: &str) -> Result<(), Error> {
        if admin.partitions(topic).await?.is_some() {
            self.shared.topics.lock().others.remove(topic);
            self.clear_missing(topic);
        } else {
            self.note_missing(topic, "it does not exist; create it by hand");
        }
        Ok(())
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
    fn a_missing_topic_is_forgotten_once_no_record_waits_for_it() {
        let watch = ProducedTopics::default();
        watch.request_check(["t", "own"]);
        watch.note_missing("t", "it does not exist");
        let own = [("own".to_owned(), PartitionCount::new(1))];
        let long_ago = Instant::now().checked_sub(2 * WAITS_FOR);
        let Some(long_ago) = long_ago else {
            panic!("the machine has just started");
        };
        let set_asked = |at| {
            let mut topics = watch.shared.topics.lock();
            topics.others.insert("t".to_owned(), at);
        };

        set_asked(long_ago);
        assert!(watch.is_missing("t"), "and a record has waited for it now");
        assert_eq!(watch.others(&own), ["t"]);

        set_asked(long_ago);
        assert!(watch.others(&own).is_empty());
        assert!(!watch.is_missing("t"));
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
