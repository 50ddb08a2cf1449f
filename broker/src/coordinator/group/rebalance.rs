//! Rebalances: how a group gets from one generation to the next.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    GroupError,
    member::{JoinReply, JoinedMember, Member},
    state_machine::{Group, GroupState},
};

impl Group {
    pub(super) fn remove(&mut self, id: &str) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        member.refuse(&GroupError::UnknownMember);
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
    }

    pub(super) fn remove_all(&mut self, now: Instant) {
        let members: Vec<String> = self.members.keys().cloned().collect();
        for id in members {
            self.remove(&id);
        }
        self.after_removal(now);
    }

    pub(super) fn after_removal(&mut self, now: Instant) {
        match self.state {
            GroupState::Empty => {}
            GroupState::PreparingRebalance => self.finish_if_all_joined(now),
            GroupState::CompletingRebalance | GroupState::Stable => self.rebalance(now),
        }
    }

    /// Makes all members join again, unless a rebalance is under way.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if self.state != GroupState::PreparingRebalance {
            for member in self.members.values_mut() {
                if let Some(sender) = member.syncing.take() {
                    let _ = sender.send(Err(GroupError::RebalanceInProgress));
                }
            }
            self.state = GroupState::PreparingRebalance;
            self.rebalance_ends = Some(now + self.rebalance_timeout());
        }
        self.finish_if_all_joined(now);
    }

    fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.values().map(|m| m.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    pub(super) fn finish_if_all_joined(&mut self, now: Instant) {
        let all_joined = self.members.values().all(|member| member.joining.is_some());
        if self.state == GroupState::PreparingRebalance && all_joined && self.pending.is_empty() {
            self.finish_join(now);
        }
    }

    /// Begins the next generation with the members that have joined.
    pub(super) fn finish_join(&mut self, now: Instant) {
        self.rebalance_ends = Some(now + self.rebalance_timeout());
        let joined = |member: &Member| member.joining.is_some();
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            self.protocol.clear();
            self.leader = None;
            self.rebalance_ends = None;
            self.generation = next_generation(self.generation);
            self.store();
            return;
        }
        if !self.members.values().any(joined) {
            // Only static members are left and none has joined: wait until their sessions expire.
            return;
        }
        self.generation = next_generation(self.generation);
        self.state = GroupState::CompletingRebalance;
        self.protocol = self.choose_protocol();
        let can_lead = |id: &String| self.members.get(id).is_some_and(joined);
        if !self.leader.as_ref().is_some_and(can_lead) {
            let mut candidates = self.members.iter().filter(|(_, member)| joined(member));
            self.leader = candidates.next().map(|(id, _)| id.clone());
        }
        let waiting: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| {
                member.assignment = Bytes::new();
                let sender = member.joining.take()?;
                member.touch(now);
                Some((id.clone(), sender))
            })
            .collect();
        for (id, sender) in waiting {
            let _ = sender.send(Ok(self.joined(&id)));
        }
    }

    /// Returns the result of joining for a member of the current generation.
    pub(super) fn joined(&self, id: &str) -> JoinReply {
        let leader = self.leader.clone().unwrap_or_default();
        let for_leader = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        };
        JoinReply {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            members: if leader == id {
                self.members.iter().map(for_leader).collect()
            } else {
                Vec::new()
            },
            leader,
            member_id: id.to_owned(),
        }
    }

    /// Returns the strategy that most members prefer, among those that all support.
    pub(super) fn choose_protocol(&self) -> String {
        let by_all = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(preferred) = names.find(|name| by_all(name)) {
                *votes.entry(preferred).or_default() += 1;
            }
        }
        let winner = votes.into_iter().max_by_key(|(_, count)| *count);
        winner.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }
}

/// Returns the generation after another one. Generations are positive, because -1 means "none" in the protocol.
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
