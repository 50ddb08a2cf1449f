//! The broker's own small types: offsets, partitions, producers and topics as types, so that one bare integer
//! cannot be passed for another. It knows nothing of the protocol crate.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// The position of a record within its partition, counted from 0. "Next" offsets are `Offset`s too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// The index of a partition within its topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub i32);

/// What `InitProducerId` hands out to an idempotent producer. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

/// One incarnation of an idempotent producer: a higher epoch of the same id has taken over from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    /// As handed out.
    pub id: ProducerId,
    /// Counted from 0.
    pub epoch: i16,
}

/// The identity of a topic, which a topic of the same name created later does not share.
///
/// It prints as a UUID in its hyphenated form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(pub u128);

impl TopicId {
    /// A new random identity. Kafka reserves the UUIDs 0 and 1; neither is ever returned.
    pub fn random() -> TopicId {
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

/// 128 bits from the operating system's entropy, through the keys of std's hasher: enough for names that must not
/// collide, not meant for secrets.
pub fn random_u128() -> u128 {
    let half = || RandomState::new().hash_one(0u8);
    (u128::from(half()) << 64) | u128::from(half())
}

/// A random name in the form of a UUID, for members and the cluster.
pub fn random_name() -> String {
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
