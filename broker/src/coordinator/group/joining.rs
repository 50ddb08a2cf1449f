//! Joining a group: which members are admitted, with which id, and whether this needs a rebalance.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    GroupError, ReplyReceiver,
    member::{JoinReply, JoinRequest, Member, ReplySender},
    state_machine::{Group, GroupState},
};
use crate::ids::random_name;

/// The session timeouts that are accepted. Kafka's default minimum is 6 s, which is long for tests.
const SESSION_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(30 * 60);

impl Group {
    /// Joins a member, for the first time or again. The result comes when the rebalance is complete.
    pub(crate) fn join(&mut self, join: JoinRequest, now: Instant) -> ReplyReceiver<JoinReply> {
        let (sender, reply) = oneshot::channel();
        match self.admit(&join, now) {
            Err(error) => {
                let _ = sender.send(Err(error));
            }
            Ok(Admission::New(id)) => self.add(id, join, sender, now),
            Ok(Admission::Known(id)) => self.rejoin(&id, join, sender, now),
            Ok(Admission::Replacing(old)) => self.replace(&old, join, sender, now),
        }
        reply
    }

    /// Checks who joins. This changes nothing but the list of pending ids.
    fn admit(&mut self, join: &JoinRequest, now: Instant) -> Result<Admission, GroupError> {
        if !SESSION_TIMEOUTS.contains(&join.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !self.has_common_protocol(join) {
            return Err(GroupError::InconsistentProtocol);
        }
        match (join.member_id.is_empty(), &join.instance_id) {
            (true, None) => self.admit_new(join, now),
            (true, Some(instance)) => Ok(match self.instances.get(instance) {
                Some(old) => Admission::Replacing(old.clone()),
                None => Admission::New(new_id(instance)),
            }),
            (false, None) => self.admit_again(&join.member_id),
            (false, Some(instance)) => match self.instances.get(instance) {
                Some(holder) if *holder == join.member_id => Ok(Admission::Known(holder.clone())),
                Some(_) => Err(GroupError::FencedInstance),
                None => Err(GroupError::UnknownMember),
            },
        }
    }

    fn admit_new(&mut self, join: &JoinRequest, now: Instant) -> Result<Admission, GroupError> {
        let id = new_id(&join.client_id);
        if join.id_required {
            self.pending.insert(id.clone(), now + join.session_timeout);
            return Err(GroupError::MemberIdRequired(id));
        }
        Ok(Admission::New(id))
    }

    fn admit_again(&mut self, id: &str) -> Result<Admission, GroupError> {
        if self.members.contains_key(id) {
            Ok(Admission::Known(id.to_owned()))
        } else if self.pending.remove(id).is_some() {
            Ok(Admission::New(id.to_owned()))
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    /// Returns whether the member supports a protocol that all others support.
    fn has_common_protocol(&self, join: &JoinRequest) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let by_all = |(name, _): &(String, Bytes)| self.members.values().all(|m| m.supports(name));
        self.members.is_empty()
            || join.protocol_type == self.protocol_type && join.protocols.iter().any(by_all)
    }

    fn add(&mut self, id: String, join: JoinRequest, sender: ReplySender<JoinReply>, now: Instant) {
        if self.members.is_empty() {
            self.protocol_type = join.protocol_type.clone();
        }
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let mut member = Member::new(join, now);
        member.joining = Some(sender);
        self.members.insert(id, member);
        self.rebalance(now);
    }

    fn rejoin(
        &mut self,
        id: &str,
        join: JoinRequest,
        sender: ReplySender<JoinReply>,
        now: Instant,
    ) {
        let is_leader = self.leader.as_deref() == Some(id);
        let Some(member) = self.members.get_mut(id) else {
            let _ = sender.send(Err(GroupError::UnknownMember));
            return;
        };
        let same = member.protocols == join.protocols;
        member.update(join, now);
        let unchanged = match self.state {
            GroupState::Empty | GroupState::PreparingRebalance => false,
            // The response to its first join was lost.
            GroupState::CompletingRebalance => same,
            // A leader joins again to make new assignments.
            GroupState::Stable => same && !is_leader,
        };
        if unchanged {
            let _ = sender.send(Ok(self.joined(id)));
            return;
        }
        if let Some(before) = member.joining.replace(sender) {
            let _ = before.send(Err(GroupError::RebalanceInProgress));
        }
        self.rebalance(now);
    }

    /// Replaces a static member that has restarted, without a rebalance if the group is stable.
    fn replace(
        &mut self,
        old: &str,
        join: JoinRequest,
        sender: ReplySender<JoinReply>,
        now: Instant,
    ) {
        let id = new_id(join.instance_id.as_deref().unwrap_or_default());
        let old_leader = self.leader.clone();
        if let Some(mut member) = self.members.remove(old) {
            member.refuse(&GroupError::FencedInstance);
            if let Some(instance) = &join.instance_id {
                self.instances.insert(instance.clone(), id.clone());
            }
            member.update(join, now);
            self.members.insert(id.clone(), member);
        }
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(id.clone());
        }
        if self.state == GroupState::Stable && self.choose_protocol() == self.protocol {
            self.store();
            // The leader in the response is the old id, so that the member does not make new assignments.
            let _ = sender.send(Ok(JoinReply {
                leader: old_leader.unwrap_or_default(),
                members: Vec::new(),
                ..self.joined(&id)
            }));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(sender);
        }
        self.rebalance(now);
    }
}

/// How a member is admitted.
enum Admission {
    /// As a new member with this id.
    New(String),
    /// As the member that already has this id.
    Known(String),
    /// As a static member that replaces the one with this id.
    Replacing(String),
}

fn new_id(name: &str) -> String {
    format!("{name}-{}", random_name())
}
