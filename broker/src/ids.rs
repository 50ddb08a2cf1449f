//! Offsets, partitions, producers and topics as types of their own, so that one integer cannot be mistaken for another.
//!
//! They are independent of the protocol crate.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// The position of a record in its partition, counted from 0; also the position of a record to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Offset(pub(crate) i64);

/// The index of a partition in its topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionId(pub(crate) i32);

/// The id that `InitProducerId` assigns to an idempotent producer. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProducerId(pub(crate) i64);

/// An idempotent producer. A producer with the same id and a higher epoch replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Producer {
    /// The id that `InitProducerId` assigned.
    pub(crate) id: ProducerId,
    /// The epoch, counted from 0.
    pub(crate) epoch: i16,
}

/// The identity of a topic. A topic that is deleted and created again gets a new one.
///
/// Displayed as a hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TopicId(pub(crate) u128);

impl TopicId {
    /// The id that requests have for no topic.
    pub(crate) const NONE: TopicId = TopicId(0);

    /// Returns a new random id. Kafka reserves the UUIDs 0 and 1, so neither is ever returned.
    pub(crate) fn random() -> TopicId {
        loop {
            let id = random_u128();
            if id > 1 {
                return TopicId(id);
            }
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hyphenated(self.0, f)
    }
}

/// Returns 128 random bits, by way of the random keys of std's hasher. They serve for names that must not collide, not
/// for secrets.
pub(crate) fn random_u128() -> u128 {
    let half = || RandomState::new().hash_one(0u8);
    (u128::from(half()) << 64) | u128::from(half())
}

/// Returns a random name in the form of a UUID, for group members and the cluster.
pub(crate) fn random_name() -> String {
    struct Name(u128);
    impl fmt::Display for Name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            hyphenated(self.0, f)
        }
    }
    Name(random_u128()).to_string()
}

fn hyphenated(id: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let hex = format!("{id:032x}");
    write!(
        f,
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_prints_as_a_uuid() {
        let id = TopicId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn random_names_differ() {
        assert_ne!(random_name(), random_name());
        assert_ne!(TopicId::random(), TopicId::random());
    }
}
