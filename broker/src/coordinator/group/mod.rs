//! The coordinator of consumer groups with the classic protocol. [`Group`] is the state machine of one group.
//!
//! Groups are in memory and in a journal, so that their members stay members when the broker restarts. Their sessions begin
//! again then. The committed offsets are in [`offsets`](super::offsets).

mod joining;
mod journal;
mod member;
mod rebalance;
mod state_machine;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Error;
use journal::GroupJournal;

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

/// The coordinator of all groups that have members, or had members and still have committed offsets.
#[derive(Debug)]
pub(crate) struct GroupCoordinator {
    /// One lock for all groups: there are only a few requests a second, and nothing waits while holding the lock but a
    /// write to the journal after a rebalance.
    groups: Mutex<HashMap<String, Group>>,
    journal: Arc<GroupJournal>,
}

impl GroupCoordinator {
    /// Restores the groups from the journal in `folder`. The sessions of their members begin now.
    pub(crate) fn open(folder: &Path) -> Result<GroupCoordinator, Error> {
        let (journal, restored) = GroupJournal::open(folder, Instant::now())?;
        let journal = Arc::new(journal);
        let store = |(name, group): (String, Group)| {
            let group = group.stored_in(&name, &journal);
            (name, group)
        };
        let groups: HashMap<_, _> = restored.into_iter().map(store).collect();
        if !groups.is_empty() {
            tracing::info!(groups = groups.len(), "restored the consumer groups");
        }
        Ok(GroupCoordinator {
            groups: Mutex::new(groups),
            journal,
        })
    }

    /// Joins a group, and creates it if it does not exist.
    pub(crate) fn join(&self, group: &str, join: JoinRequest) -> ReplyReceiver<JoinReply> {
        if group.is_empty() {
            return refused(GroupError::InvalidGroup);
        }
        let mut groups = self.groups.lock();
        if !groups.contains_key(group) && !join.member_id.is_empty() {
            return refused(GroupError::UnknownMember);
        }
        let new = || Group::default().stored_in(group, &self.journal);
        let group = groups.entry(group.to_owned()).or_insert_with(new);
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

    /// Removes a group without members; returns whether it existed.
    pub(crate) fn remove_empty(&self, group: &str) -> bool {
        let mut groups = self.groups.lock();
        let is_empty = |group: &Group| group.describe().state == GroupState::Empty;
        let removed = groups.get(group).is_some_and(is_empty);
        if removed {
            groups.remove(group);
            self.journal.remove(group);
        }
        removed
    }

    /// Removes the groups that have neither members nor committed offsets.
    pub(crate) fn remove_abandoned(&self, has_offsets: impl Fn(&str) -> bool) {
        self.groups.lock().retain(|name, group| {
            let stays = !group.is_unused() || has_offsets(name);
            if !stays {
                self.journal.remove(name);
            }
            stays
        });
    }

    /// Removes all members of a group, which then have to join again.
    pub(crate) fn remove_members(&self, group: &str) {
        if let Some(group) = self.groups.lock().get_mut(group) {
            group.remove_all(Instant::now());
        }
    }

    /// Returns whether a group has members.
    pub(crate) fn has_members(&self, group: &str) -> bool {
        let groups = self.groups.lock();
        groups
            .get(group)
            .is_some_and(|group| !group.members.is_empty())
    }

    /// Syncs the journal.
    pub(crate) fn sync_journal(&self) -> Result<(), Error> {
        self.journal.sync()
    }

    /// Describes a group, or returns `None` if it never had members.
    pub(crate) fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.groups.lock().get(group).map(Group::describe)
    }

    /// Returns name and description of every group that has or had members.
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
            // One that had members stays as long as it has committed offsets.
            !group.is_unused() || group.generation > 0
        });
    }
}

fn refused<T>(error: GroupError) -> ReplyReceiver<T> {
    let (sender, reply) = oneshot::channel();
    let _ = sender.send(Err(error));
    reply
}
