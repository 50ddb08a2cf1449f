//! The consumer group as its coordinator knows it: its members with their partitions, and its position in each
//! partition.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, TryGetError};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
};

use super::{Cluster, Error, blocking, client::Logged};
use crate::event::{Offset, Partition, Partitions, Timestamp};

/// Timeout of one request about the members. It is short because an HTTP request waits for the answer.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Timeout of one request about the positions.
const POSITIONS_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that describes the group. Cheap to clone.
#[derive(Clone)]
pub struct GroupClient {
    client: Arc<BaseConsumer<Logged>>,
    group: Arc<str>,
    topic: Arc<str>,
}

/// The group as its coordinator describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescription {
    /// All partitions of the topic.
    pub partitions: Partitions,
    /// The members of the group. Members that joined by the protocol of KIP-848 are missing: the request
    /// `DescribeGroups` does not show them.
    pub members: Vec<GroupMember>,
}

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The client id of the member.
    pub client_id: String,
    /// Partitions of the topic that are assigned to the member. Empty during a rebalance.
    pub partitions: Partitions,
}

impl GroupClient {
    /// Makes a client for the group of this cluster's configuration.
    ///
    /// # Errors
    /// [`Error::Properties`].
    pub fn new(cluster: &Cluster) -> Result<Self, Error> {
        let config = cluster.config();
        let client = cluster
            .properties(&[("allow.auto.create.topics", "false")])
            .create_with_context(Logged)
            .map_err(Error::Properties)?;
        Ok(Self {
            client: Arc::new(client),
            group: config.group_id.as_str().into(),
            topic: config.topic.as_str().into(),
        })
    }

    /// Describes the group, in at most two seconds.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub async fn describe(&self) -> Result<GroupDescription, Error> {
        let client = self.clone();
        blocking(move || client.describe_blocking())
            .await
            .map_err(|source| Error::Request {
                what: "describe the group",
                source,
            })
    }

    fn describe_blocking(&self) -> Result<GroupDescription, KafkaError> {
        let metadata = self
            .client
            .fetch_metadata(Some(&self.topic), DESCRIBE_TIMEOUT)?;
        let topics = metadata.topics().iter();
        let count = topics.map(|topic| topic.partitions().len()).sum::<usize>();
        let groups = self
            .client
            .fetch_group_list(Some(&self.group), DESCRIBE_TIMEOUT)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        let member = |member: &rdkafka::groups::GroupMemberInfo| GroupMember {
            client_id: member.client_id().to_owned(),
            partitions: self.assigned(member.assignment().unwrap_or_default()),
        };
        Ok(GroupDescription {
            partitions: Partitions::below(i32::try_from(count).unwrap_or(i32::MAX)),
            members: members.map(member).collect(),
        })
    }

    fn assigned(&self, assignment: &[u8]) -> Partitions {
        assigned_partitions(&self.topic, assignment).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot decode the assignment of a group member");
            Partitions::default()
        })
    }
}

/// The position of the group in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPosition {
    /// The partition.
    pub partition: Partition,
    /// The oldest offset that the broker has.
    pub oldest: Offset,
    /// The next offset to process: the committed offset, or the oldest if that is greater or nothing is committed.
    pub next: Offset,
    /// Offset of the first record at or after the requested time, if there is one.
    pub at_time: Option<Offset>,
}

/// Returns the position of the group in every partition of the topic, in ascending order of partitions, together with
/// the offset of the first record at or after `at`, if that is given.
///
/// # Errors
/// [`Error::Properties`] or [`Error::Request`].
pub async fn group_positions(
    cluster: &Cluster,
    at: Option<Timestamp>,
) -> Result<Vec<GroupPosition>, Error> {
    let cluster = cluster.clone();
    blocking(move || {
        let config = cluster.config();
        let defaults = [
            ("group.id", config.group_id.as_str()),
            ("allow.auto.create.topics", "false"),
        ];
        let client: BaseConsumer<Logged> = cluster
            .properties(&defaults)
            .create_with_context(Logged)
            .map_err(Error::Properties)?;
        positions_blocking(&client, &config.topic, at).map_err(|source| {
            let what = "fetch the positions of the group";
            Error::Request { what, source }
        })
    })
    .await
}

fn positions_blocking(
    client: &BaseConsumer<Logged>,
    topic: &str,
    at: Option<Timestamp>,
) -> Result<Vec<GroupPosition>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), POSITIONS_TIMEOUT)?;
    let described = metadata.topics().iter().flat_map(|it| it.partitions());
    let mut partitions: Vec<_> = described.map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let mut all = TopicPartitionList::new();
    for &partition in &partitions {
        all.add_partition(topic, partition);
    }
    let committed = client.committed_offsets(all.clone(), POSITIONS_TIMEOUT)?;
    let at_time = match at {
        None => None,
        Some(Timestamp(at)) => {
            all.set_all_offsets(KafkaOffset::Offset(at))?;
            Some(client.offsets_for_times(all, POSITIONS_TIMEOUT)?)
        }
    };
    let each = partitions.into_iter().map(|partition| {
        let (low, _) = client.fetch_watermarks(topic, partition, POSITIONS_TIMEOUT)?;
        let at_time = match &at_time {
            Some(found) => offset_in(found, topic, partition)?.map(Offset),
            None => None,
        };
        let committed = offset_in(&committed, topic, partition)?;
        Ok(GroupPosition {
            partition: Partition(partition),
            oldest: Offset(low),
            next: Offset(committed.unwrap_or(low).max(low)),
            at_time,
        })
    });
    each.collect()
}

/// Returns the offset of a partition in a list, if it has one. A response about several partitions may carry an error
/// for a single one, which must not be mistaken for a partition without an offset.
pub(super) fn offset_in(
    list: &TopicPartitionList,
    topic: &str,
    partition: i32,
) -> KafkaResult<Option<i64>> {
    let Some(one) = list.find_partition(topic, partition) else {
        return Ok(None);
    };
    one.error()?;
    Ok(match one.offset() {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    })
}

/// The bytes are not an assignment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the assignment is cut off or malformed")]
struct MalformedAssignment;

/// Decodes the partitions of `topic` from the assignment of a member, as the leader of the group wrote it. A member
/// without partitions may have no bytes.
///
/// The format is Kafka's `ConsumerProtocolAssignment`, of which versions 0 to 3 are equal: version (int16), an array
/// (int32 count) of topics (int16 length, UTF-8), each with an array of partitions (int32), then user data. Newer
/// versions append fields.
fn assigned_partitions(topic: &str, mut bytes: &[u8]) -> Result<Partitions, MalformedAssignment> {
    let mut partitions = Partitions::default();
    if bytes.is_empty() {
        return Ok(partitions);
    }
    let version = bytes.try_get_i16()?;
    if version < 0 {
        return Err(MalformedAssignment);
    }
    for _ in 0..count(&mut bytes)? {
        let length = usize::try_from(bytes.try_get_i16()?).map_err(|_| MalformedAssignment)?;
        let name = bytes.split_off(..length).ok_or(MalformedAssignment)?;
        for _ in 0..count(&mut bytes)? {
            let partition = Partition(bytes.try_get_i32()?);
            if name == topic.as_bytes() {
                partitions.add([partition]);
            }
        }
    }
    Ok(partitions)
}

/// Reads the length of an array. Nothing is allocated by it, so a forged length costs nothing.
fn count(bytes: &mut &[u8]) -> Result<u32, MalformedAssignment> {
    u32::try_from(bytes.try_get_i32()?).map_err(|_| MalformedAssignment)
}

impl From<TryGetError> for MalformedAssignment {
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
            let read = assigned_partitions("EVENTOS", &bytes);
            prop_assert_eq!(read, Ok(ours.into_iter().map(Partition).collect()));
        }

        #[test]
        fn what_is_cut_off_is_refused(partitions in proptest::collection::vec(any::<i32>(), 1..9), cut: proptest::sample::Index) {
            let bytes = written(0, &[("t".to_owned(), partitions)], None);
            // The last four bytes are the user data, which is not read.
            let cut = 1 + cut.index(bytes.len() - 5);
            prop_assert_eq!(assigned_partitions("t", &bytes[..cut]), Err(MalformedAssignment));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = assigned_partitions("t", &bytes);
        }
    }

    #[test]
    fn nothing_assigned_is_nothing() {
        assert_eq!(assigned_partitions("t", &[]), Ok(Partitions::default()));
        let negative = [0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            assigned_partitions("t", &negative),
            Err(MalformedAssignment)
        );
    }
}
