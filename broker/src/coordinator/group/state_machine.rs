//! One group: the state machine of the classic group protocol, as Kafka's `GroupCoordinator` has it.
//!
//! ```text
//!          join                      all joined, or time is up          the leader's sync
//! Empty ────────> PreparingRebalance ─────────────────────────> CompletingRebalance ─────> Stable
//!   ^                   │     ^                                          │                   │
//!   └── nobody joined ──┘     └────── a member comes, goes or changes ───┴───────────────────┘
//! ```
//!
//! Time is passed in, and answers go into channels, so every transition can be tested without a socket or a clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::member::{Member, Sync, Synced};
use super::{GroupError, Reply};

/// The state of one group; a new one is empty.
#[derive(Debug, Default)]
pub struct Group {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// The member that each static instance is.
    pub(super) instances: HashMap<String, String>,
    /// Ids told to members that are yet to join with them, and how long that may take.
    pub(super) pending: HashMap<String, Instant>,
    /// When the rebalance goes on without those that are late.
    pub(super) rebalance_ends: Option<Instant>,
}

/// Where in the protocol a group is. The names are Kafka's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No members.
    #[default]
    Empty,
    /// Waiting for all members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignments.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
}

/// A group as it shows itself to an administrator.
#[derive(Clone, Debug)]
pub struct Description {
    /// Where it is.
    pub phase: Phase,
    /// As all members said.
    pub protocol_type: String,
    /// The strategy chosen; empty while rebalancing.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as it shows itself to an administrator.
#[derive(Clone, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Set for a static member.
    pub instance_id: Option<String>,
    /// As the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// What it said under the chosen strategy.
    pub metadata: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}

impl Group {
    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, sync: Sync, now: Instant) -> Reply<Synced> {
        let (sender, reply) = oneshot::channel();
        if let Err(error) = self.try_sync(&sync, now) {
            let _ = sender.send(Err(error));
            return reply;
        }
        if let Some(member) = self.members.get_mut(&sync.member_id)
            && let Some(before) = member.syncing.replace(sender)
        {
            let _ = before.send(Err(GroupError::RebalanceInProgress));
        }
        let is_leader = self.leader.as_ref() == Some(&sync.member_id);
        if self.phase == Phase::CompletingRebalance && is_leader {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.phase = Phase::Stable;
            self.rebalance_ends = None;
        }
        if self.phase == Phase::Stable {
            self.answer_syncs(now);
        }
        reply
    }

    fn try_sync(&mut self, sync: &Sync, now: Instant) -> Result<(), GroupError> {
        let other =
            |given: &Option<String>, ours: &str| given.as_deref().is_some_and(|g| g != ours);
        self.check(
            &sync.member_id,
            sync.instance_id.as_deref(),
            sync.generation,
        )?;
        if other(&sync.protocol_type, &self.protocol_type) || other(&sync.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentProtocol);
        }
        self.touch(&sync.member_id, now);
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    fn answer_syncs(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(sender) = member.syncing.take() {
                member.touch(now);
                let _ = sender.send(Ok(Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: member.assignment.clone(),
                }));
            }
        }
    }

    /// A sign of life; an error tells the member to join again.
    pub fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.check(member, instance, generation)?;
        self.touch(member, now);
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// A member goes. A static one is named by its instance, its id may be empty.
    pub fn leave(
        &mut self,
        member: &str,
        instance: Option<&str>,
        now: Instant,
    ) -> Result<(), GroupError> {
        if self.pending.remove(member).is_some() {
            self.finish_if_all_joined(now);
            return Ok(());
        }
        let id = match instance.map(|instance| self.instances.get(instance)) {
            None => member,
            Some(None) => return Err(GroupError::UnknownMember),
            Some(Some(holder)) if !member.is_empty() && holder != member => {
                return Err(GroupError::FencedInstance);
            }
            Some(Some(holder)) => holder,
        }
        .to_owned();
        if !self.members.contains_key(&id) {
            return Err(GroupError::UnknownMember);
        }
        self.remove(&id);
        self.after_removal(now);
        Ok(())
    }

    /// Whether the member may commit offsets now.
    pub fn check_commit(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        if self.phase == Phase::Empty && generation < 0 {
            return Ok(());
        }
        self.check_member(member, instance, generation, now)?;
        match self.phase {
            Phase::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::Empty | Phase::PreparingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// Whether the member is one of this generation, which counts as a sign of life.
    pub fn check_member(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.check(member, instance, generation)?;
        self.touch(member, now);
        Ok(())
    }

    /// Ends what has run out of time. Returns the ids of the members that this cost.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        self.pending.retain(|_, until| *until > now);
        let rebalance_over = self.rebalance_ends.is_some_and(|ends| ends <= now);
        let late = |member: &Member| match self.phase {
            _ if !rebalance_over => false,
            // A static member that is late keeps its place until its session ends.
            Phase::PreparingRebalance => member.joining.is_none() && member.instance_id.is_none(),
            Phase::CompletingRebalance => member.syncing.is_none(),
            Phase::Empty | Phase::Stable => false,
        };
        let lost: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_expired(now) || late(member))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &lost {
            self.remove(id);
        }
        if rebalance_over && self.phase == Phase::PreparingRebalance {
            self.finish_join(now);
        } else if rebalance_over || !lost.is_empty() {
            self.after_removal(now);
        } else {
            self.finish_if_all_joined(now);
        }
        lost
    }

    /// Whether nothing would be lost by forgetting the group.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty()
    }

    /// The group as it is now.
    pub fn describe(&self) -> Description {
        let settled = matches!(self.phase, Phase::CompletingRebalance | Phase::Stable);
        let describe = |(id, member): (&String, &Member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(&self.protocol),
            assignment: member.assignment.clone(),
        };
        Description {
            phase: self.phase,
            protocol_type: self.protocol_type.clone(),
            protocol: if settled {
                self.protocol.clone()
            } else {
                String::new()
            },
            members: self.members.iter().map(describe).collect(),
        }
    }

    /// The fencing of every call: the member is known, is the one of its instance, and is of this generation.
    fn check(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(holder) if holder != member => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if !self.members.contains_key(member) {
            return Err(GroupError::UnknownMember);
        }
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(())
    }

    fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.touch(now);
        }
    }
}

