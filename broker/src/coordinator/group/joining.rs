//! How a member comes into a group: who is let in, as whom, and whether the others have to be called together for it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::state_machine::{Group, Phase};
use super::member::{Join, Joined, Member, Sender};
use super::{GroupError, Reply};
use crate::ids::random_name;

/// The session timeouts that are accepted. Kafka's lower end is 6 s by default; tests and laptops like it shorter.
const SESSION_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(30 * 60);

impl Group {
    /// A member joins, or joins again. The reply comes when the rebalance is over.
    pub fn join(&mut self, join: Join, now: Instant) -> Reply<Joined> {
        let (sender, reply) = oneshot::channel();
        match self.admit(&join, now) {
            Err(error) => {
                let _ = sender.send(Err(error));
            }
            Ok(Admitted::New(id)) => self.add(id, join, sender, now),
            Ok(Admitted::Known(id)) => self.rejoin(&id, join, sender, now),
            Ok(Admitted::Replacing(old)) => self.replace(&old, join, sender, now),
        }
        reply
    }

    /// Who is at the door; what this changes is the list of pending ids only.
    fn admit(&mut self, join: &Join, now: Instant) -> Result<Admitted, GroupError> {
        if !SESSION_TIMEOUTS.contains(&join.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !self.fits(join) {
            return Err(GroupError::InconsistentProtocol);
        }
        match (join.member_id.is_empty(), &join.instance_id) {
            (true, None) => self.admit_new(join, now),
            (true, Some(instance)) => Ok(match self.instances.get(instance) {
                Some(old) => Admitted::Replacing(old.clone()),
                None => Admitted::New(new_id(instance)),
            }),
            (false, None) => self.admit_again(&join.member_id),
            (false, Some(instance)) => match self.instances.get(instance) {
                Some(holder) if *holder == join.member_id => Ok(Admitted::Known(holder.clone())),
                Some(_) => Err(GroupError::FencedInstance),
                None => Err(GroupError::UnknownMember),
            },
        }
    }

    fn admit_new(&mut self, join: &Join, now: Instant) -> Result<Admitted, GroupError> {
        let id = new_id(&join.client_id);
        if join.id_required {
            self.pending.insert(id.clone(), now + join.session_timeout);
            return Err(GroupError::MemberIdRequired(id));
        }
        Ok(Admitted::New(id))
    }

    fn admit_again(&mut self, id: &str) -> Result<Admitted, GroupError> {
        if self.members.contains_key(id) {
            Ok(Admitted::Known(id.to_owned()))
        } else if self.pending.remove(id).is_some() {
            Ok(Admitted::New(id.to_owned()))
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    /// Whether the member has a protocol that every other one has too.
    fn fits(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let by_all = |(name, _): &(String, Bytes)| self.members.values().all(|m| m.supports(name));
        self.members.is_empty()
            || join.protocol_type == self.protocol_type && join.protocols.iter().any(by_all)
    }

    fn add(&mut self, id: String, join: Join, sender: Sender<Joined>, now: Instant) {
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

    fn rejoin(&mut self, id: &str, join: Join, sender: Sender<Joined>, now: Instant) {
        let is_leader = self.leader.as_deref() == Some(id);
        let Some(member) = self.members.get_mut(id) else {
            let _ = sender.send(Err(GroupError::UnknownMember));
            return;
        };
        let same = member.protocols == join.protocols;
        member.update(join, now);
        let unchanged = match self.phase {
            Phase::Empty | Phase::PreparingRebalance => false,
            // The answer to its first join was lost.
            Phase::CompletingRebalance => same,
            // A leader that joins again wants to assign anew.
            Phase::Stable => same && !is_leader,
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

    /// A static member has restarted: it takes the place of its old self, without a rebalance if the group is at rest.
    fn replace(&mut self, old: &str, join: Join, sender: Sender<Joined>, now: Instant) {
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
        if self.phase == Phase::Stable && self.choose_protocol() == self.protocol {
            // Under its old name as the leader, the member does not take itself for one and assign again.
            let _ = sender.send(Ok(Joined {
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

enum Admitted {
    New(String),
    Known(String),
    /// A static member in place of the one with this id.
    Replacing(String),
}

fn new_id(name: &str) -> String {
    format!("{name}-{}", random_name())
}
