//! The coordinator of consumer groups, classic protocol: which groups there are, and the clock that expires their
//! members. The state machine of one group is [`Group`]; neither knows the protocol crate, topics or committed offsets.
//!
//! Groups live in memory. After a restart the members find their ids unknown and join again, as with Kafka when the
//! coordinator moves; what they committed is elsewhere, on disk.

mod joining;
mod member;
mod rebalance;
mod state_machine;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use state_machine::{Description, Group, Phase};
pub use member::{Join, Joined, Sync, Synced};
use tokio::sync::oneshot;

/// How often expired sessions and rebalances are looked for; they end up to this much late.
pub const TICK: Duration = Duration::from_millis(50);

/// Comes when the group gets there: at once for an error, after the rebalance for a member that waits in it.
pub type Reply<T> = oneshot::Receiver<Result<T, GroupError>>;

/// What the coordinator answers instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group has an empty name.
    #[error("a group needs a name")]
    InvalidGroup,
    /// The session timeout is outside the range that is allowed.
    #[error("session timeout outside the allowed range")]
    InvalidSessionTimeout,
    /// A new member joins again with this id, so that the coordinator does not forget it should the answer be lost.
    #[error("join again as {0}")]
    MemberIdRequired(String),
    /// The group has no such member.
    #[error("no such member")]
    UnknownMember,
    /// Another process has taken over the static member.
    #[error("another member has this instance id")]
    FencedInstance,
    /// The member is of a generation that is over.
    #[error("not the current generation")]
    IllegalGeneration,
    /// The member has to join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The member has no protocol in common with the others.
    #[error("no protocol in common with the group")]
    InconsistentProtocol,
}

/// Every group that has members or had some a moment ago.
#[derive(Debug, Default)]
pub struct Coordinator {
    /// One lock for all: groups speak a few times a second, and nothing waits while holding it.
    groups: Mutex<HashMap<String, Group>>,
}

impl Coordinator {
    /// Joins a group, making it when the member is new.
    pub fn join(&self, group: &str, join: Join) -> Reply<Joined> {
        if group.is_empty() {
            return refused(GroupError::InvalidGroup);
        }
        let mut groups = self.lock();
        if !groups.contains_key(group) && !join.member_id.is_empty() {
            return refused(GroupError::UnknownMember);
        }
        let group = groups.entry(group.to_owned()).or_default();
        group.join(join, Instant::now())
    }

    /// Asks for the member's assignment, as leader bringing everybody's.
    pub fn sync(&self, group: &str, sync: Sync) -> Reply<Synced> {
        match self.lock().get_mut(group) {
            Some(group) => group.sync(sync, Instant::now()),
            None => refused(GroupError::UnknownMember),
        }
    }

    /// Keeps the member alive.
    pub fn heartbeat(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.lock()
            .get_mut(group)
            .ok_or(GroupError::UnknownMember)?
            .heartbeat(member, instance, generation, Instant::now())
    }

    /// Takes a member out; a static one may be named by its instance id alone.
    pub fn leave(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        self.lock()
            .get_mut(group)
            .ok_or(GroupError::UnknownMember)?
            .leave(member, instance, Instant::now())
    }

    /// Whether this member may commit offsets. A negative generation is that of a consumer outside the group protocol.
    pub fn check_commit(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        // Who is no member may use even the group without a name, as Kafka's oldest consumers did.
        if group.is_empty() && generation >= 0 {
            return Err(GroupError::InvalidGroup);
        }
        match self.lock().get_mut(group) {
            Some(group) => group.check_commit(member, instance, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    /// Whether this member may commit offsets with a transaction, as [`check_commit`](Coordinator::check_commit); a
    /// producer that says nothing of the member may always.
    pub fn check_transactional_commit(
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
        match self.lock().get_mut(group) {
            // While the group completes a rebalance too: the generation is the member's own.
            Some(group) => group.check_member(member, instance, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    /// Forgets a group whose members have left, as the next tick would.
    pub fn forget_empty(&self, group: &str) {
        let mut groups = self.lock();
        let is_empty = |group: &Group| group.describe().phase == Phase::Empty;
        if groups.get(group).is_some_and(is_empty) {
            groups.remove(group);
        }
    }

    /// What is known of a group; `None` if it has no members and had none lately.
    pub fn describe(&self, group: &str) -> Option<Description> {
        self.lock().get(group).map(Group::describe)
    }

    /// Name and description of every group with members.
    pub fn all(&self) -> Vec<(String, Description)> {
        let describe = |(name, group): (&String, &Group)| (name.clone(), group.describe());
        self.lock().iter().map(describe).collect()
    }

    /// Ends what has run out of time; to be called every [`TICK`].
    pub fn tick(&self) {
        let now = Instant::now();
        self.lock().retain(|name, group| {
            for member in group.expire(now) {
                tracing::info!(group = name, member, "group member timed out");
            }
            !group.is_over()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused<T>(error: GroupError) -> Reply<T> {
    let (sender, reply) = oneshot::channel();
    let _ = sender.send(Err(error));
    reply
}
