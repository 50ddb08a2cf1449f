//! The state machine of one group with the classic protocol, as in Kafka's `GroupCoordinator`.
//!
//! ```text
//!          join                      all have joined, or timeout        assignments of the leader
//! Empty ────────> PreparingRebalance ─────────────────────────> CompletingRebalance ─────> Stable
//!   ^                   │     ^                                          │                   │
//!   └── no member joins ┘     └────── a member joins, leaves or changes ─┴───────────────────┘
//! ```
//!
//! Callers pass the time in, and results go to channels. So every transition can be tested without sockets and clocks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    GroupError, ReplyReceiver,
    journal::GroupJournal,
    member::{Member, SyncReply, SyncRequest},
};

/// The state of one group; a new one is empty.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(super) state: GroupState,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// The member ids of the static members, by instance id.
    pub(super) instances: HashMap<String, String>,
    /// Ids of new members that have to join again with them, and their deadlines.
    pub(super) pending: HashMap<String, Instant>,
    /// When the rebalance continues without the members that are late.
    pub(super) rebalance_ends: Option<Instant>,
    /// The journal that the group is stored in, and its name there.
    pub(super) stored_in: Option<(String, Arc<GroupJournal>)>,
}

/// The state of a group, with the names of Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// The group has no members.
    #[default]
    Empty,
    /// The group waits for all members to join.
    PreparingRebalance,
    /// The group waits for the assignments of the leader.
    CompletingRebalance,
    /// All members have their assignment.
    Stable,
}

/// A group, as administrators see it.
#[derive(Clone, Debug)]
pub(crate) struct GroupDescription {
    /// The state of the group.
    pub(crate) state: GroupState,
    /// The protocol type that all members have.
    pub(crate) protocol_type: String,
    /// The assignment strategy; empty during a rebalance.
    pub(crate) protocol: String,
    /// The members.
    pub(crate) members: Vec<MemberDescription>,
}

/// A member, as administrators see it.
#[derive(Clone, Debug)]
pub(crate) struct MemberDescription {
    /// The member id.
    pub(crate) member_id: String,
    /// The instance id of a static member.
    pub(crate) instance_id: Option<String>,
    /// The client id that the client gave itself.
    pub(crate) client_id: String,
    /// The address that it connects from.
    pub(crate) client_host: String,
    /// The metadata that the member sent for the strategy.
    pub(crate) metadata: Bytes,
    /// The assignment.
    pub(crate) assignment: Bytes,
}

impl Group {
    /// Returns the group, which from now on stores itself in a journal.
    pub(super) fn stored_in(self, name: &str, journal: &Arc<GroupJournal>) -> Group {
        Group {
            stored_in: Some((name.to_owned(), Arc::clone(journal))),
            ..self
        }
    }

    /// Writes the group to its journal, if it has one. Members get the results of a change only after this.
    pub(super) fn store(&self) {
        if let Some((name, journal)) = &self.stored_in {
            journal.save(name, self);
        }
    }

    /// Requests the assignment of a member. The leader sends the assignments of all members with it.
    pub(crate) fn sync(&mut self, sync: SyncRequest, now: Instant) -> ReplyReceiver<SyncReply> {
        let (sender, reply) = oneshot::channel();
        if let Err(error) = self.check_sync(&sync, now) {
            let _ = sender.send(Err(error));
            return reply;
        }
        if let Some(member) = self.members.get_mut(&sync.member_id)
            && let Some(before) = member.syncing.replace(sender)
        {
            let _ = before.send(Err(GroupError::RebalanceInProgress));
        }
        let is_leader = self.leader.as_ref() == Some(&sync.member_id);
        if self.state == GroupState::CompletingRebalance && is_leader {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.state = GroupState::Stable;
            self.rebalance_ends = None;
            self.store();
        }
        if self.state == GroupState::Stable {
            self.send_assignments(now);
        }
        reply
    }

    fn check_sync(&mut self, sync: &SyncRequest, now: Instant) -> Result<(), GroupError> {
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
        match self.state {
            GroupState::Empty => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Sends their assignments to the members that wait for them.
    fn send_assignments(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(sender) = member.syncing.take() {
                member.touch(now);
                let _ = sender.send(Ok(SyncReply {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: member.assignment.clone(),
                }));
            }
        }
    }

    /// Keeps a member alive; after an error it has to join again.
    pub(crate) fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.check(member, instance, generation)?;
        self.touch(member, now);
        match self.state {
            GroupState::Empty => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Removes a member. The instance id is enough for a static one.
    pub(crate) fn leave(
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

    /// Checks whether a member may commit offsets now.
    pub(crate) fn check_commit(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        if self.state == GroupState::Empty && generation < 0 {
            return Ok(());
        }
        self.check_member(member, instance, generation, now)?;
        match self.state {
            GroupState::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::Empty | GroupState::PreparingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Checks that a member belongs to the current generation, and keeps it alive.
    pub(crate) fn check_member(
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

    /// Applies the timeouts; returns the ids of the members that are removed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<String> {
        self.pending.retain(|_, until| *until > now);
        let rebalance_over = self.rebalance_ends.is_some_and(|ends| ends <= now);
        let late = |member: &Member| match self.state {
            _ if !rebalance_over => false,
            // A static member that is late stays until its session expires.
            GroupState::PreparingRebalance => {
                member.joining.is_none() && member.instance_id.is_none()
            }
            GroupState::CompletingRebalance => member.syncing.is_none(),
            GroupState::Empty | GroupState::Stable => false,
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
        if rebalance_over && self.state == GroupState::PreparingRebalance {
            self.finish_join(now);
        } else if rebalance_over || !lost.is_empty() {
            self.after_removal(now);
        } else {
            self.finish_if_all_joined(now);
        }
        lost
    }

    /// Returns whether the group has no members and expects none.
    pub(crate) fn is_unused(&self) -> bool {
        self.state == GroupState::Empty && self.pending.is_empty()
    }

    /// Describes the group.
    pub(crate) fn describe(&self) -> GroupDescription {
        let settled = matches!(
            self.state,
            GroupState::CompletingRebalance | GroupState::Stable
        );
        let describe = |(id, member): (&String, &Member)| MemberDescription {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(&self.protocol),
            assignment: member.assignment.clone(),
        };
        GroupDescription {
            state: self.state,
            protocol_type: self.protocol_type.clone(),
            protocol: if settled {
                self.protocol.clone()
            } else {
                String::new()
            },
            members: self.members.iter().map(describe).collect(),
        }
    }

    /// Makes the checks of every request: the member is known, has its instance id, and belongs to the current generation.
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
