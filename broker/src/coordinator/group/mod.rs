//! The coordinator of consumer groups with the classic protocol. [`Group`] is the state machine of one group.
//!
//! Groups are only in memory. After a restart, the ids of members are unknown and they join again, as with Kafka when the
//! coordinator moves. The committed offsets are in [`offsets`](super::offsets), on disk.

mod joining;
mod member;
mod rebalance;
mod state_machine;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) use member::{JoinReply, JoinRequest, SyncReply, SyncRequest};
pub(crate) use state_machine::{Group, GroupDescription, GroupState};

/// How often sessions and rebalances are checked for their timeout, which may pass by this much.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Receives the result of a request: at once for an error, and after the rebalance for a member that waits for it.
pub(crate) type ReplyReceiver<T> = oneshot::Receiver<Result<T, GroupError>>;

/// The reason why the coordinator refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    /// The name of the group is empty.
    #[error("the name of the group is empty")]
    InvalidGroup,
    /// The session timeout is too short or too long.
    #[error("the session timeout is outside the allowed range")]
    InvalidSessionTimeout,
    /// A new member has to join again with this id, so that a lost response leaves no unknown member behind.
    #[error("join again with the member id {0}")]
    MemberIdRequired(String),
    /// The group does not have the member.
    #[error("unknown member")]
    UnknownMember,
    /// Another member has the instance id.
    #[error("another member has this instance id")]
    FencedInstance,
    /// The generation of the member is not the current one.
    #[error("the generation is not the current one")]
    IllegalGeneration,
    /// The member has to join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The member supports none of the protocols that all others support.
    #[error("the member has no protocol in common with the group")]
    InconsistentProtocol,
}

/// The coordinator of all groups that have members.
#[derive(Debug, Default)]
pub(crate) struct GroupCoordinator {
    /// One lock for all groups: there are only a few requests a second, and nothing waits while holding the lock.
    groups: Mutex<HashMap<String, Group>>,
}

impl GroupCoordinator {
    /// Joins a group, and creates it if it does not exist.
    pub(crate) fn join(&self, group: &str, join: JoinRequest) -> ReplyReceiver<JoinReply> {
        if group.is_empty() {
            return refused(GroupError::InvalidGroup);
        }
        let mut groups = self.groups.lock();
        if !groups.contains_key(group) && !join.member_id.is_empty() {
            return refused(GroupError::UnknownMember);
        }
        let group = groups.entry(group.to_owned()).or_default();
        group.join(join, Instant::now())
    }

    /// Requests the assignment of a member. The leader sends the assignments of all members with it.
    pub(crate) fn sync(&self, group: &str, sync: SyncRequest) -> ReplyReceiver<SyncReply> {
        match self.groups.lock().get_mut(group) {
            Some(group) => group.sync(sync, Instant::now()),
            None => refused(GroupError::UnknownMember),
        }
    }

    /// Keeps a member alive.
    pub(crate) fn heartbeat(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.groups
            .lock()
            .get_mut(group)
            .ok_or(GroupError::UnknownMember)?
            .heartbeat(member, instance, generation, Instant::now())
    }

    /// Removes a member. The instance id is enough for a static one.
    pub(crate) fn leave(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        self.groups
            .lock()
            .get_mut(group)
            .ok_or(GroupError::UnknownMember)?
            .leave(member, instance, Instant::now())
    }

    /// Checks whether a member may commit offsets. A consumer that is not a member has a negative generation.
    pub(crate) fn check_commit(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        // A consumer that is not a member may use an empty name, as the oldest consumers of Kafka did.
        if group.is_empty() && generation >= 0 {
            return Err(GroupError::InvalidGroup);
        }
        match self.groups.lock().get_mut(group) {
            Some(group) => group.check_commit(member, instance, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    /// Checks whether a member may commit offsets with a transaction, like [`check_commit`](GroupCoordinator::check_commit).
    /// A producer that names no member always may.
    pub(crate) fn check_transactional_commit(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if generation < 0 && member.is_empty() && instance.is_none() {
            return match group.is_empty() {
                true => Err(GroupError::InvalidGroup),
                false => Ok(()),
            };
        }
        match self.groups.lock().get_mut(group) {
            // This is also allowed while the group completes a rebalance, because the generation has to match.
            Some(group) => group.check_member(member, instance, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    /// Removes a group without members, as the next tick would.
    pub(crate) fn remove_empty(&self, group: &str) {
        let mut groups = self.groups.lock();
        let is_empty = |group: &Group| group.describe().state == GroupState::Empty;
        if groups.get(group).is_some_and(is_empty) {
            groups.remove(group);
        }
    }

    /// Describes a group, or returns `None` if it has no members.
    pub(crate) fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.groups.lock().get(group).map(Group::describe)
    }

    /// Returns name and description of every group with members.
    pub(crate) fn all(&self) -> Vec<(String, GroupDescription)> {
        let describe = |(name, group): (&String, &Group)| (name.clone(), group.describe());
        self.groups.lock().iter().map(describe).collect()
    }

    /// Applies all timeouts. The caller has to call this every [`TICK`].
    pub(crate) fn tick(&self) {
        let now = Instant::now();
        self.groups.lock().retain(|name, group| {
            for member in group.expire(now) {
                tracing::info!(group = name, member, "group member timed out");
            }
            !group.is_unused()
        });
    }
}

fn refused<T>(error: GroupError) -> ReplyReceiver<T> {
    let (sender, reply) = oneshot::channel();
    let _ = sender.send(Err(error));
    reply
}
