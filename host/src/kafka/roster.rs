//! Who is in the group, and what each of them has.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{
    Config, Error,
    assignment::partitions_of,
    client::{Logged, properties},
};
use crate::event::Partitions;

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
    pub fn new(config: &Config, servers: &str) -> Result<Self, Error> {
        let client = properties(config, servers, &[("allow.auto.create.topics", "false")])
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
