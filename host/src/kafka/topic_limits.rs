//! What each topic accepts, by its settings: the size of a batch, and which records. librdkafka does not know it, and the
//! broker rejects a batch as a whole, with records in it that would be accepted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    error::KafkaResult,
};

use super::{Cluster, ProduceError, client::Logged, detached::Detached};
use crate::event::{RecordRef, Timestamp};

/// How long the broker may take to describe topics. Producing does not depend on the answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Minimum time until the broker is asked again for the settings of a topic that rejects records.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Settings that are older than this are read again before a record is judged by them alone.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How far the clock of the broker may be from ours, ms.
const CLOCK_TOLERANCE: i64 = 60_000;

/// Maximum number of topics whose limits are kept, since a handler may emit to any number of topics.
const MAX_TOPICS: usize = 1_024;

/// What each topic accepts, as far as it is known. Cheap to clone; all clones share the same limits.
#[derive(Clone)]
pub struct TopicLimits {
    cluster: Cluster,
    limits: Arc<Mutex<BTreeMap<String, TopicLimit>>>,
}

/// What a topic accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TopicLimit {
    /// The largest batch, in bytes.
    batch: Option<usize>,
    /// Whether every record needs a key.
    needs_key: bool,
    /// How far a timestamp may be behind the clock of the broker, and ahead of it, ms.
    timestamps: Option<(i64, i64)>,
    /// Whether `batch` is a setting of the topic, and not only less than a batch that it rejected.
    is_batch_exact: bool,
    /// When the broker was asked for the last time.
    asked: Option<Instant>,
    /// When it answered for the last time.
    answered: Option<Instant>,
}

impl TopicLimits {
    /// Makes limits of which none is known yet.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            limits: Arc::default(),
        }
    }

    /// Returns the size of the largest batch that a topic accepts, in bytes, if it is known.
    #[must_use]
    pub fn max_batch(&self, topic: &str) -> Option<usize> {
        self.limits.lock().get(topic)?.batch
    }

    /// Returns why a topic certainly rejects a record that takes at least `size` bytes in a batch, by the settings that are
    /// known: it has no key although it needs one, its timestamp is too far from the present, or it is too large.
    #[must_use]
    pub fn exclusion(
        &self,
        topic: &str,
        record: &RecordRef<'_>,
        size: usize,
    ) -> Option<ProduceError> {
        let limit = self.limits.lock().get(topic).copied()?;
        limit.exclusion(record, size, Timestamp::now())
    }

    /// Returns whether the settings of a topic were read within the last five seconds.
    #[must_use]
    pub fn are_fresh(&self, topic: &str) -> bool {
        let limits = self.limits.lock();
        let answered = limits.get(topic).and_then(|limit| limit.answered);
        answered.is_some_and(|answered| answered.elapsed() < MAX_AGE)
    }

    /// Asks the broker for the limits of these topics. Without the permission to describe their settings, they stay
    /// unknown until a batch is rejected.
    pub async fn learn(&self, topics: &[&str]) {
        match self.describe(topics).await {
            Ok(described) => {
                for (topic, limit) in described {
                    let now = Some(Instant::now());
                    self.change(&topic, |known| {
                        *known = TopicLimit {
                            asked: now,
                            answered: now,
                            ..limit
                        };
                    });
                }
            }
            Err(error) => tracing::debug!(%error, ?topics, "cannot ask for the settings of topics"),
        }
    }

    /// Asks the broker for the limits of a topic, unless it was asked a moment ago.
    pub async fn learn_again(&self, topic: &str) {
        let is_due = |known: &mut TopicLimit| {
            let asked = known.asked.replace(Instant::now());
            asked.is_none_or(|asked| asked.elapsed() >= MIN_INTERVAL)
        };
        if self.change(topic, is_due).unwrap_or(true) {
            self.learn(&[topic]).await;
        }
    }

    /// Takes note that a topic rejected a batch of `size` bytes as too large, and returns its limit from now on, which is
    /// less than that. Without the permission to ask for it, it is half of the size.
    pub async fn learn_from_rejection(&self, topic: &str, size: usize) -> usize {
        self.learn(&[topic]).await;
        let limit = match self.max_batch(topic) {
            Some(limit) if limit < size => limit,
            _ => size / 2,
        };
        tracing::info!(
            topic,
            limit,
            size,
            "a topic rejected a batch for its size; sending smaller ones"
        );
        self.change(topic, |known| {
            known.is_batch_exact &= known.batch == Some(limit);
            known.batch = Some(limit);
        });
        limit
    }

    /// Changes the limits of a topic, unless they cannot be kept.
    fn change<T>(&self, topic: &str, change: impl FnOnce(&mut TopicLimit) -> T) -> Option<T> {
        let mut limits = self.limits.lock();
        let is_kept = limits.len() < MAX_TOPICS || limits.contains_key(topic);
        is_kept.then(|| change(limits.entry(topic.to_owned()).or_default()))
    }

    async fn describe(&self, topics: &[&str]) -> KafkaResult<Vec<(String, TopicLimit)>> {
        let properties = self.cluster.properties(&[]);
        let admin: AdminClient<_> = properties.create_with_context(Logged)?;
        let admin = Detached::new(admin);
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let mut limits = Vec::new();
        for (topic, described) in topics
            .iter()
            .zip(admin.describe_configs(&topics, &options).await?)
        {
            let ResourceSpecifier::Topic(name) = topic else {
                continue;
            };
            match described {
                Ok(resource) => {
                    let setting = |name: &str| resource.get(name)?.value.clone();
                    limits.push(((*name).to_owned(), TopicLimit::read(setting)));
                }
                Err(error) => {
                    tracing::debug!(%error, topic = name, "cannot ask for the settings of a topic");
                }
            }
        }
        Ok(limits)
    }
}

impl TopicLimit {
    /// Reads the settings of a topic.
    fn read(setting: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| setting(name)?.parse::<i64>().ok();
        let sizes = ["max.message.bytes", "segment.bytes"]
            .into_iter()
            .filter_map(number);
        let sizes = sizes.filter_map(|size| usize::try_from(size).ok());
        // With the time of the broker, that of the producer does not count.
        let has_own_time = setting("message.timestamp.type").is_none_or(|it| it == "CreateTime");
        let before = number("message.timestamp.before.max.ms");
        let after = number("message.timestamp.after.max.ms");
        Self {
            batch: sizes.min(),
            needs_key: setting("cleanup.policy").is_some_and(|it| it.contains("compact")),
            timestamps: before.zip(after).filter(|_| has_own_time),
            is_batch_exact: true,
            ..Self::default()
        }
    }

    /// Returns why a record of at least `size` bytes is certainly rejected.
    fn exclusion(
        self,
        record: &RecordRef<'_>,
        size: usize,
        now: Timestamp,
    ) -> Option<ProduceError> {
        let is_out_of_time = self.timestamps.is_some_and(|(before, after)| {
            let age = now.0.saturating_sub(record.timestamp.0);
            age > before.saturating_add(CLOCK_TOLERANCE)
                || age < after.saturating_add(CLOCK_TOLERANCE).saturating_neg()
        });
        let excluded = |why: &str| Some(ProduceError::Excluded(why.to_owned()));
        if self.needs_key && record.key.is_none() {
            excluded("it is compacted, and the record has no key")
        } else if record.timestamp != Timestamp::NONE && is_out_of_time {
            excluded("the timestamp of the record is too far from the present")
        } else if self.is_batch_exact && self.batch.is_some_and(|limit| size > limit) {
            Some(ProduceError::TooLarge)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Records;

    fn limit(settings: &[(&str, &str)]) -> TopicLimit {
        TopicLimit::read(|name| {
            let found = settings.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn rejects(limit: TopicLimit, key: Option<&[u8]>, age: i64) -> bool {
        let now = Timestamp(1_800_000_000_000);
        let mut records = Records::default();
        records.push(key, None, [], Timestamp(now.0 - age), 0);
        limit.exclusion(&records.get(0), 0, now).is_some()
    }

    #[test]
    fn a_record_is_too_large_only_by_a_setting_and_not_by_what_was_rejected() {
        let mut records = Records::default();
        records.push(None, None, [], Timestamp::NONE, 0);
        let exclusion = |limit: TopicLimit, size| {
            limit.exclusion(&records.get(0), size, Timestamp(1_800_000_000_000))
        };
        let set = limit(&[("max.message.bytes", "1000")]);
        assert_eq!(exclusion(set, 1_000), None);
        assert_eq!(exclusion(set, 1_001), Some(ProduceError::TooLarge));
        let guessed = TopicLimit {
            batch: Some(1_000),
            ..TopicLimit::default()
        };
        assert_eq!(exclusion(guessed, 1_001), None);
    }

    #[test]
    fn the_smallest_limit_of_a_batch_counts() {
        assert_eq!(limit(&[]).batch, None);
        let settings = [("max.message.bytes", "1000"), ("segment.bytes", "500")];
        assert_eq!(limit(&settings).batch, Some(500));
        assert_eq!(limit(&[("max.message.bytes", "-1")]).batch, None);
    }

    #[test]
    fn a_compacted_topic_rejects_records_without_a_key() {
        for (policy, expected) in [
            ("compact", true),
            ("compact,delete", true),
            ("delete", false),
        ] {
            let limit = limit(&[("cleanup.policy", policy)]);
            assert_eq!(rejects(limit, None, 0), expected);
            assert!(!rejects(limit, Some(b"k"), 0));
        }
    }

    #[test]
    fn a_timestamp_far_from_now_is_rejected_if_it_counts() {
        let settings = [
            ("message.timestamp.before.max.ms", "3600000"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
            ("message.timestamp.type", "CreateTime"),
        ];
        let of_producer = limit(&settings);
        assert!(rejects(of_producer, None, 4_000_000));
        assert!(!rejects(of_producer, None, 3_600_001));
        assert!(!rejects(of_producer, None, i64::MIN / 4));
        let mut settings = settings;
        settings[2].1 = "LogAppendTime";
        assert!(!rejects(limit(&settings), None, 4_000_000));
    }
}
