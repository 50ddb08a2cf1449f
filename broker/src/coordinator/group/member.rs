//! The members of a group, their requests, and the results that they get.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::GroupError;

/// A request to join a group.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    /// The member id; empty for a new member.
    pub(crate) member_id: String,
    /// The instance id of a static member, which keeps its assignment across a restart.
    pub(crate) instance_id: Option<String>,
    /// The client id that the client gave itself.
    pub(crate) client_id: String,
    /// The address that it connects from.
    pub(crate) client_host: String,
    /// The time without a heartbeat after which the member is removed.
    pub(crate) session_timeout: Duration,
    /// How long a rebalance waits for this member.
    pub(crate) rebalance_timeout: Duration,
    /// The protocol type; "consumer" for consumers.
    pub(crate) protocol_type: String,
    /// The assignment strategies in the order of preference, each with metadata for the leader.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether a new member has to join again with the id that it gets.
    pub(crate) id_required: bool,
}

/// The result of joining a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinReply {
    /// The generation, which counts rebalances.
    pub(crate) generation: i32,
    /// The protocol type that all members have.
    pub(crate) protocol_type: String,
    /// The assignment strategy, which all members support.
    pub(crate) protocol: String,
    /// The id of the leader, which makes the assignments.
    pub(crate) leader: String,
    /// The id of the member itself.
    pub(crate) member_id: String,
    /// All members for the leader; empty for the others.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    /// The member id.
    pub(crate) member_id: String,
    /// The instance id of a static member.
    pub(crate) instance_id: Option<String>,
    /// The metadata that the member sent for the strategy.
    pub(crate) metadata: Bytes,
}

/// A request for an assignment.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
    /// The member id.
    pub(crate) member_id: String,
    /// The instance id of a static member.
    pub(crate) instance_id: Option<String>,
    /// The generation that the member joined.
    pub(crate) generation: i32,
    /// The protocol type that the member expects the group to have.
    pub(crate) protocol_type: Option<String>,
    /// The strategy that the member expects the group to have.
    pub(crate) protocol: Option<String>,
    /// The assignments of all members, from the leader.
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The assignment of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncReply {
    /// The protocol type of the group.
    pub(crate) protocol_type: String,
    /// The strategy of the group.
    pub(crate) protocol: String,
    /// The assignment that the leader made; empty if it made none for this member.
    pub(crate) assignment: Bytes,
}

pub(super) type ReplySender<T> = oneshot::Sender<Result<T, GroupError>>;

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When the session expires, unless the member sends a heartbeat or waits for a result.
    pub(crate) session_ends: Instant,
    /// Set while the member waits for the end of the rebalance.
    pub(crate) joining: Option<ReplySender<JoinReply>>,
    /// Set while the member waits for the assignments of the leader.
    pub(crate) syncing: Option<ReplySender<SyncReply>>,
}

impl Member {
    pub(crate) fn new(join: JoinRequest, now: Instant) -> Member {
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

    /// Updates a member that joins again.
    pub(crate) fn update(&mut self, join: JoinRequest, now: Instant) {
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.protocols = join.protocols;
        self.touch(now);
    }

    /// Extends the session.
    pub(crate) fn touch(&mut self, now: Instant) {
        self.session_ends = now + self.session_timeout;
    }

    /// Returns whether the session has expired. It does not while the member waits for a result.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.joining.is_none() && self.syncing.is_none() && self.session_ends <= now
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Returns the metadata that the member sent for a strategy.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let named = self.protocols.iter().find(|(name, _)| name == protocol);
        named
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// Sends an error to the member if it waits for a result.
    pub(crate) fn refuse(&mut self, error: &GroupError) {
        if let Some(sender) = self.joining.take() {
            let _ = sender.send(Err(error.clone()));
        }
        if let Some(sender) = self.syncing.take() {
            let _ = sender.send(Err(error.clone()));
        }
    }
}
