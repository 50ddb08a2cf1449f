//! The group as its coordinator knows it: its members with their partitions, and where it stands in each partition.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, TryGetError};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
};

use super::{Cluster, Error, client::Logged};
use crate::event::{Offset, Partition, Partitions, Timestamp};

/// How long the broker may take to answer one question. Somebody waits for it.
const REQUEST: Duration = Duration::from_secs(1);

/// Asks the broker about the group. Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    client: Arc<BaseConsumer<Logged>>,
    group: Arc<str>,
    topic: Arc<str>,
}

/// The group, as its coordinator has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// The partitions of the topic.
    pub partitions: Partitions,
    /// Those who are in the group. None while nobody is, and none that joined by the protocol of KIP-848: the
    /// request `DescribeGroups` does not show them.
    pub members: Vec<Member>,
}

/// One in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it calls itself.
    pub client_id: String,
    /// What it has of the topic; none during a rebalance.
    pub partitions: Partitions,
}

impl Roster {
    /// A client that asks about the group of this configuration.
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

    /// Asks now; takes at most two seconds.
    ///
    /// # Errors
    /// [`Error::Request`], if the broker refuses, or does not answer.
    pub async fn look(&self) -> Result<Roll, Error> {
        let roster = self.clone();
        super::blocking(move || roster.look_now())
            .await
            .map_err(|source| Error::Request {
                what: "describe the group",
                source,
            })
    }

    fn look_now(&self) -> Result<Roll, KafkaError> {
        let metadata = self.client.fetch_metadata(Some(&self.topic), REQUEST)?;
        let topics = metadata.topics().iter();
        let count = topics.map(|topic| topic.partitions().len()).sum::<usize>();
        let groups = self.client.fetch_group_list(Some(&self.group), REQUEST)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        let member = |member: &rdkafka::groups::GroupMemberInfo| Member {
            client_id: member.client_id().to_owned(),
            partitions: self.assigned(member.assignment().unwrap_or_default()),
        };
        Ok(Roll {
            partitions: Partitions::below(i32::try_from(count).unwrap_or(i32::MAX)),
            members: members.map(member).collect(),
        })
    }

    fn assigned(&self, assignment: &[u8]) -> Partitions {
        partitions_of(&self.topic, assignment).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read what a member of the group is assigned");
            Partitions::default()
        })
    }
}

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the group stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub partition: Partition,
    /// The oldest offset that the broker has.
    pub oldest: Offset,
    /// The next offset to handle: what is committed, or the oldest.
    pub next: Offset,
    /// The offset of the first record that is not older than what was asked for, if there is one.
    pub at_time: Option<Offset>,
}

/// Asks for every partition of the topic of Eventos, by number ascending. It blocks.
///
/// # Errors
/// [`Error::Properties`], or [`Error::Request`] if no broker answers.
pub fn progress(cluster: &Cluster, at: Option<Timestamp>) -> Result<Vec<Progress>, Error> {
    let config = cluster.config();
    let ours = [
        ("group.id", config.group_id.as_str()),
        ("allow.auto.create.topics", "false"),
    ];
    let client: BaseConsumer<Logged> = cluster
        .properties(&ours)
        .create_with_context(Logged)
        .map_err(Error::Properties)?;
    ask(&client, &config.topic, at).map_err(|source| {
        let what = "say where the group stands";
        Error::Request { what, source }
    })
}

fn ask(
    client: &BaseConsumer<Logged>,
    topic: &str,
    at: Option<Timestamp>,
) -> Result<Vec<Progress>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let described = metadata.topics().iter().flat_map(|it| it.partitions());
    let mut partitions: Vec<_> = described.map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let mut all = TopicPartitionList::new();
    for &partition in &partitions {
        all.add_partition(topic, partition);
    }
    let committed = client.committed_offsets(all.clone(), PATIENCE)?;
    let at_time = match at {
        None => None,
        Some(Timestamp(at)) => {
            all.set_all_offsets(KafkaOffset::Offset(at))?;
            Some(client.offsets_for_times(all, PATIENCE)?)
        }
    };
    let each = partitions.into_iter().map(|partition| {
        let (low, _) = client.fetch_watermarks(topic, partition, PATIENCE)?;
        let at_time = match &at_time {
            Some(found) => offset_in(found, topic, partition)?.map(Offset),
            None => None,
        };
        let committed = offset_in(&committed, topic, partition)?;
        Ok(Progress {
            partition: Partition(partition),
            oldest: Offset(low),
            next: Offset(committed.unwrap_or(low).max(low)),
            at_time,
        })
    });
    each.collect()
}

/// The offset that a list names for a partition, if it is one. An answer about many may say of one alone that it could not
/// be found out, which is not that there is none.
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

/// The bytes are no assignment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is cut off, or not what consumers write")]
struct NotAnAssignment;

/// The partitions of `topic` in what the leader of a group assigned to a member, as consumers write it.
///
/// Kafka's `ConsumerProtocolAssignment`, versions 0 to 3, which are alike: version (int16), an array (int32 count)
/// of topic (int16 length, UTF-8) and array of partitions (int32 each), user data. Newer versions add after these.
///
/// A member that was assigned nothing may have no bytes.
fn partitions_of(topic: &str, mut bytes: &[u8]) -> Result<Partitions, NotAnAssignment> {
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
