//! A member of a group, and the questions and answers between members and their group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::GroupError;

/// What a member says to join.
#[derive(Clone, Debug)]
pub struct Join {
    /// Empty for a new member.
    pub member_id: String,
    /// Set for a static member, which keeps its place over a restart.
    pub instance_id: Option<String>,
    /// As the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Without a sign of life for this long, the member is out.
    pub session_timeout: Duration,
    /// How long a rebalance waits for this member.
    pub rebalance_timeout: Duration,
    /// "consumer" for consumers.
    pub protocol_type: String,
    /// Assignment strategies, the preferred one first, each with what the leader needs to know of this member.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a new member is sent away to join again with the id that it is told.
    pub id_required: bool,
}

/// The group that a member has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Counts the rebalances.
    pub generation: i32,
    /// As all members said.
    pub protocol_type: String,
    /// The strategy that all have in common.
    pub protocol: String,
    /// The member that assigns.
    pub leader: String,
    /// The member's own id.
    pub member_id: String,
    /// Everybody, told to the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Set for a static member.
    pub instance_id: Option<String>,
    /// What it said under the chosen strategy.
    pub metadata: Bytes,
}

/// What a member says to get its assignment.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Its id.
    pub member_id: String,
    /// Set for a static member.
    pub instance_id: Option<String>,
    /// The generation it joined.
    pub generation: i32,
    /// If given, must be the group's.
    pub protocol_type: Option<String>,
    /// If given, must be the group's.
    pub protocol: Option<String>,
    /// Everybody's assignment, if this is the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: String,
    /// The group's strategy.
    pub protocol: String,
    /// As the leader wrote it; empty if it gave this member none.
    pub assignment: Bytes,
}

pub(super) type Sender<T> = oneshot::Sender<Result<T, GroupError>>;

/// A member as its group keeps it.
#[derive(Debug)]
pub(super) struct Member {
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// When it is out, unless it gives a sign of life or waits for an answer.
    pub session_ends: Instant,
    /// Waits for the end of the rebalance.
    pub joining: Option<Sender<Joined>>,
    /// Waits for the leader's assignments.
    pub syncing: Option<Sender<Synced>>,
}

impl Member {
    pub fn new(join: Join, now: Instant) -> Member {
        Member {
            session_ends: now + join.session_timeout,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
        }
    }

    /// Takes over what a member says that joins again.
    pub fn update(&mut self, join: Join, now: Instant) {
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.protocols = join.protocols;
        self.touch(now);
    }

    /// Notes a sign of life.
    pub fn touch(&mut self, now: Instant) {
        self.session_ends = now + self.session_timeout;
    }

    /// Whether its session is over. One that waits for us is not late.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.joining.is_none() && self.syncing.is_none() && self.session_ends <= now
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// What it said under a strategy.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let named = self.protocols.iter().find(|(name, _)| name == protocol);
        named
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// Ends its waiting, if it waits.
    pub fn refuse(&mut self, error: &GroupError) {
        if let Some(sender) = self.joining.take() {
            let _ = sender.send(Err(error.clone()));
        }
        if let Some(sender) = self.syncing.take() {
            let _ = sender.send(Err(error.clone()));
        }
    }
}
