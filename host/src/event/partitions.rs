//! Partitions: one of a topic, a set of them, and how that set is written as text.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};

use super::Partition;

/// A partition of a topic. Cheap to clone, since the name of the topic is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TopicPartition {
    /// The topic.
    #[serde(serialize_with = "as_text")]
    pub topic: Arc<str>,
    /// The number of the partition within the topic.
    pub partition: Partition,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, partition: Partition) -> Self {
        let topic = topic.into();
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.topic, self.partition)
    }
}

fn as_text<S: Serializer>(topic: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(topic)
}

/// A set of partitions of one topic.
///
/// As text: numbers and ranges in ascending order, joined by commas, such as `0-3,5`; `-` for the empty set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(BTreeSet<Partition>);

/// A text that is not a set of partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a list of partitions, such as 0-3,5")]
pub struct NotPartitions(String);

/// The largest number of partitions that a text may name. No topic has as many, and a short text such as
/// `0-2147483647` must not make the daemon allocate gigabytes.
const MAX_PARTITIONS: usize = 1 << 20;

impl Partitions {
    /// The partitions from 0 up to, but not including, `count`.
    #[must_use]
    pub fn below(count: i32) -> Self {
        (0..count).map(Partition).collect()
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the set contains `partition`.
    #[must_use]
    pub fn contains(&self, partition: Partition) -> bool {
        self.0.contains(&partition)
    }

    /// Returns whether the set contains every partition of `others`.
    #[must_use]
    pub fn contains_all(&self, others: &Self) -> bool {
        self.0.is_superset(&others.0)
    }

    /// Iterates over the partitions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Partition> {
        self.0.iter().copied()
    }

    /// Returns the partition with the highest number.
    #[must_use]
    pub fn last(&self) -> Option<Partition> {
        self.0.last().copied()
    }

    /// Adds `others` to the set.
    pub fn add(&mut self, others: impl IntoIterator<Item = Partition>) {
        self.0.extend(others);
    }

    /// Returns the partitions that are not in `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        self.0.difference(&others.0).copied().collect()
    }

    /// Returns the partitions that are in both sets.
    #[must_use]
    pub fn common(&self, others: &Self) -> Self {
        self.0.intersection(&others.0).copied().collect()
    }
}

impl FromIterator<Partition> for Partitions {
    fn from_iter<I: IntoIterator<Item = Partition>>(partitions: I) -> Self {
        Self(partitions.into_iter().collect())
    }
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.iter().peekable();
        if left.peek().is_none() {
            return f.write_str("-");
        }
        let mut comma = "";
        while let Some(first) = left.next() {
            let mut last = first;
            while let Some(next) = left.next_if(|next| Some(next.0) == last.0.checked_add(1)) {
                last = next;
            }
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for Partitions {
    type Err = NotPartitions;

    fn from_str(text: &str) -> Result<Self, NotPartitions> {
        let mut partitions = Self::default();
        if text == "-" {
            return Ok(partitions);
        }
        let fault = || NotPartitions(text.to_owned());
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first), number(last));
            let (first, last) = first.zip(last).ok_or_else(fault)?;
            let many = usize::try_from(last - first).map_or(true, |more| more >= MAX_PARTITIONS);
            if many || partitions.0.len() >= MAX_PARTITIONS {
                return Err(fault());
            }
            partitions.0.extend((first..=last).map(Partition));
        }
        Ok(partitions)
    }
}

/// Reads a number without a sign.
fn number(text: &str) -> Option<i32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_are_written_as_ranges() {
        for (numbers, text) in [
            (vec![], "-"),
            (vec![5], "5"),
            (vec![0, 1, 2, 3, 5], "0-3,5"),
            (vec![3, 4, 9, 10], "3-4,9-10"),
            (vec![i32::MAX - 1, i32::MAX], "2147483646-2147483647"),
        ] {
            let partitions: Partitions = numbers.into_iter().map(Partition).collect();
            assert_eq!(partitions.to_string(), text);
            assert_eq!(text.parse(), Ok(partitions));
        }
    }

    #[test]
    fn what_names_no_partitions_is_refused() {
        for text in [
            "",
            "a",
            "1,",
            "1-",
            "-1",
            "3-1",
            "+1",
            "1--2",
            "0-1048576",
            "2147483648",
        ] {
            let refused = text.parse::<Partitions>();
            assert_eq!(refused, Err(NotPartitions(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(numbers: Vec<u8>) {
            let partitions: Partitions = numbers.iter().map(|&n| Partition(n.into())).collect();
            prop_assert_eq!(partitions.to_string().parse(), Ok(partitions));
        }
    }
}
