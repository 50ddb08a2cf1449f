//! What the leader of a group assigned to a member, as consumers write it.
//!
//! Kafka's `ConsumerProtocolAssignment`, versions 0 to 3, which are alike: version (int16), an array (int32 count)
//! of topic (int16 length, UTF-8) and array of partitions (int32 each), user data. Newer versions add after these.

use bytes::{Buf as _, TryGetError};

use crate::event::{Partition, Partitions};

/// The bytes are no assignment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is cut off, or not what consumers write")]
pub(super) struct NotAnAssignment;

/// The partitions of `topic` in an assignment. A member that was assigned nothing may have no bytes.
pub(super) fn partitions_of(topic: &str, mut bytes: &[u8]) -> Result<Partitions, NotAnAssignment> {
    let mut partitions = Partitions::default();
    if bytes.is_empty() {
        return Ok(partitions);
    }
    let version = bytes.try_get_i16()?;
    if version < 0 {
        return Err(NotAnAssignment);
    }
    for _ in 0..count(&mut bytes)? {
        let length = usize::try_from(bytes.try_get_i16()?).map_err(|_| NotAnAssignment)?;
        let name = bytes.split_off(..length).ok_or(NotAnAssignment)?;
        for _ in 0..count(&mut bytes)? {
            let partition = Partition(bytes.try_get_i32()?);
            if name == topic.as_bytes() {
                partitions.add([partition]);
            }
        }
    }
    Ok(partitions)
}

/// The length of an array. Each element is read before the next, so a false one costs nothing.
fn count(bytes: &mut &[u8]) -> Result<u32, NotAnAssignment> {
    u32::try_from(bytes.try_get_i32()?).map_err(|_| NotAnAssignment)
}

impl From<TryGetError> for NotAnAssignment {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::{
        messages::{
            ConsumerProtocolAssignment, TopicName, consumer_protocol_assignment::TopicPartition,
        },
        protocol::{Encodable as _, StrBytes},
    };
    use proptest::prelude::*;

    use super::*;

    fn written(version: i16, topics: &[(String, Vec<i32>)], user_data: Option<Vec<u8>>) -> Vec<u8> {
        let topics = topics.iter().map(|(name, partitions)| {
            TopicPartition::default()
                .with_topic(TopicName(StrBytes::from_string(name.clone())))
                .with_partitions(partitions.clone())
        });
        let assignment = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(topics.collect())
            .with_user_data(user_data.map(Into::into));
        let mut bytes = version.to_be_bytes().to_vec();
        assignment.encode(&mut bytes, version).expect("encoded");
        bytes
    }

    proptest! {
        #[test]
        fn the_partitions_of_the_topic_are_read_and_those_of_others_passed_over(
            version in 0..=3i16,
            ours: Vec<u16>,
            others in proptest::collection::vec(("[a-z]{1,8}", any::<Vec<i32>>()), 0..4),
            at in 0..4usize,
            user_data: Option<Vec<u8>>,
        ) {
            let ours: Vec<i32> = ours.into_iter().map(i32::from).collect();
            let mut topics = others;
            topics.insert(at.min(topics.len()), ("EVENTOS".to_owned(), ours.clone()));
            let bytes = written(version, &topics, user_data);
            let read = partitions_of("EVENTOS", &bytes);
            prop_assert_eq!(read, Ok(ours.into_iter().map(Partition).collect()));
        }

        #[test]
        fn what_is_cut_off_is_refused(partitions in proptest::collection::vec(any::<i32>(), 1..9), cut: proptest::sample::Index) {
            let bytes = written(0, &[("t".to_owned(), partitions)], None);
            // The last four bytes are the user data, which nobody reads.
            let cut = 1 + cut.index(bytes.len() - 5);
            prop_assert_eq!(partitions_of("t", &bytes[..cut]), Err(NotAnAssignment));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = partitions_of("t", &bytes);
        }
    }

    #[test]
    fn nothing_assigned_is_nothing() {
        assert_eq!(partitions_of("t", &[]), Ok(Partitions::default()));
        let negative = [0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(partitions_of("t", &negative), Err(NotAnAssignment));
    }
}
